"""Secrets at rest: encrypted under keys derived from the installation's secret key, which the database does not hold.

Several servers on one database share the secret key, so each can open what another sealed; a stolen database or
backup cannot be opened at all (``docs/decisions/010-signing-keys-in-the-database.md``).
"""

import hashlib
import hmac
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
    return hmac.new(str(settings.SECRET_KEY).encode(), f"keystead {purpose}".encode(), hashlib.sha256).digest()


def seal(purpose: str, secret: Secret) -> str:
    """Return ``secret`` as JWE (``dir``, A256GCM), to be kept in a row."""
    return jwe.encrypt_compact(_SEAL, secret.reveal().encode(), OctKey.import_key(derived_key(purpose)))


def unseal(purpose: str, sealed: str) -> Secret:
    """Return what :func:`seal` was given.

    Raises:
        ConfigurationError: it was sealed under another key, or altered.
    """
    try:
        plaintext = jwe.decrypt_compact(sealed, OctKey.import_key(derived_key(purpose))).plaintext
    except (JoseError, ValueError) as error:
        raise ConfigurationError(
            f"The stored {purpose} cannot be opened with this server's secret key.",
            hint="Restore the file secret-key that belongs to the database, or enter the secret again.",
            move="operator",
        ) from error
    return Secret((plaintext or b"").decode())
