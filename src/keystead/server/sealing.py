"""Secrets at rest: encrypted under keys derived from the installation's secret key, which the database does not hold.

Several servers on one database share the secret key, so each can open what another sealed; a stolen database or
backup cannot be opened at all (``docs/decisions/010-signing-keys-in-the-database.md``).

The secret key can be replaced: what the one before sealed is still opened, and sealed anew by
:mod:`keystead.server.resealing`.
"""

import hashlib
import hmac
from functools import lru_cache
from typing import Final

from django.conf import settings
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from keystead.errors import ConfigurationError
from keystead.secret import Secret

_SEAL: Final = {"alg": "dir", "enc": "A256GCM"}


def derived_key(purpose: str) -> bytes:
    """Return 32 bytes for one purpose, derived from the installation's secret key."""
    return _derived(str(settings.SECRET_KEY), purpose)


def derived_keys(purpose: str) -> list[bytes]:
    """Return the same of every secret key that counts: today's, then the one before if it is still given."""
    return [_derived(str(key), purpose) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@lru_cache(maxsize=16)
def _derived(secret_key: str, purpose: str) -> bytes:
    return hmac.new(secret_key.encode(), f"keystead {purpose}".encode(), hashlib.sha256).digest()


def seal(purpose: str, secret: Secret) -> str:
    """Return ``secret`` as JWE (``dir``, A256GCM), to be kept in a row."""
    return jwe.encrypt_compact(_SEAL, secret.reveal().encode(), OctKey.import_key(derived_key(purpose)))


def unseal(purpose: str, sealed: str) -> Secret:
    """Return what :func:`seal` was given.

    Raises:
        ConfigurationError: it was sealed under another key, or altered.
    """
    for key in derived_keys(purpose):
        found = _opened(sealed, key)
        if found is not None:
            return found
    raise ConfigurationError(
        f"The stored {purpose} cannot be opened with this server's secret key.",
        hint="Restore the file secret-key that belongs to the database, or enter the secret again.",
        move="operator",
    )


def resealed(purpose: str, sealed: str) -> str | None:
    """Return it sealed under today's key, or None when it is already; raises like :func:`unseal`."""
    if _opened(sealed, derived_key(purpose)) is not None:
        return None
    return seal(purpose, unseal(purpose, sealed))


def _opened(sealed: str, key: bytes) -> Secret | None:
    try:
        plaintext = jwe.decrypt_compact(sealed, OctKey.import_key(key)).plaintext
    except (JoseError, ValueError):
        return None
    return Secret((plaintext or b"").decode())
