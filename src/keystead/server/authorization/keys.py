"""The keys that sign access tokens: ES256, one that signs, older ones that still verify.

The private half rests in the database, encrypted (JWE ``dir`` with A256GCM) under a key derived from the
installation's secret key, which rests in the data directory: neither a stolen database nor a stolen backup of it
can sign, and several servers on one database share their keys (``docs/decisions/010-signing-keys-in-the-database.md``).
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final

from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey

from keystead.server.authorization.lifetimes import SIGNING_KEY_OVERLAP
from keystead.server.authorization.models import SigningKey
from keystead.server.authorization.surroundings import derived_key
from keystead.server.changes import CHANGES, Change

ALGORITHM: Final = "ES256"
_PUBLISHED: Final = "authorization:published-keys"
_JUST_READ: Final = "authorization:keys-just-read"
_SEAL: Final = {"alg": "dir", "enc": "A256GCM"}

NewKey = Callable[[], ECKey]


def new_key() -> ECKey:
    """Return a new random P-256 key."""
    return ECKey.generate_key("P-256")


def signing_key(now: datetime, make: NewKey = new_key) -> tuple[str, ECKey]:
    """Return the key that signs and its ``kid``; the first call of an installation makes it."""
    row = _newest() or _first(now, make)
    return row.kid, _opened(row.sealed, derived_key("signing keys"))


def rotate(now: datetime, make: NewKey = new_key) -> str:
    """Make a new signing key and return its ``kid``; the old ones verify until the last token of theirs ended."""
    with transaction.atomic():
        SigningKey.objects.filter(published_until=None).update(published_until=now + SIGNING_KEY_OVERLAP)
        return _store(now, make()).kid


def _newest() -> SigningKey | None:
    return SigningKey.objects.filter(published_until=None).order_by("-created_at", "kid").first()


def _first(now: datetime, make: NewKey) -> SigningKey:
    with transaction.atomic():
        return _newest() or _store(now, make())


def _store(now: datetime, key: ECKey) -> SigningKey:
    kid = key.thumbprint()
    transaction.on_commit(partial(_announce, kid))
    private = json.dumps(key.as_dict(private=True)).encode()
    return SigningKey.objects.create(
        kid=kid,
        public_jwk=key.as_dict(private=False),
        sealed=jwe.encrypt_compact(_SEAL, private, OctKey.import_key(derived_key("signing keys"))),
        created_at=now,
    )


def _announce(kid: str) -> None:
    cache.delete(_PUBLISHED)
    CHANGES.publish(Change("signing_key", kid))


@lru_cache(maxsize=16)
def _opened(sealed: str, seal: bytes) -> ECKey:
    """Return the private key; remembered, because opening it costs more than signing with it."""
    plaintext = jwe.decrypt_compact(sealed, OctKey.import_key(seal)).plaintext
    return ECKey.import_key(json.loads(plaintext or b""))


def jwks(now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return the published keys as a JWK set (RFC 7517)."""
    rows = SigningKey.objects.filter(Q(published_until=None) | Q(published_until__gt=now)).order_by("created_at")
    return {"keys": [{**row.public_jwk, "kid": row.kid, "alg": ALGORITHM, "use": "sig"} for row in rows]}


def published(now: datetime) -> dict[str, ECKey]:
    """Return the public keys by ``kid``, for a verifier that must not ask the database."""
    return {key["kid"]: _imported(json.dumps(key, sort_keys=True)) for key in jwks(now)["keys"]}


def verification_key(kid: str, now: datetime) -> ECKey | None:
    """Return the public key with that ``kid``, or None.

    Published keys are remembered for a minute. An unknown ``kid`` has them read again, at most every five
    seconds: a key made by another server is found, and invented ones do not become database queries.
    """
    published = cache.get(_PUBLISHED)
    if published is None or (kid not in published and cache.add(_JUST_READ, True, 5)):
        published = {key["kid"]: key for key in jwks(now)["keys"]}
        cache.set(_PUBLISHED, published, 60)
    found = published.get(kid)
    return None if found is None else _imported(json.dumps(found, sort_keys=True))


@lru_cache(maxsize=16)
def _imported(public: str) -> ECKey:
    return ECKey.import_key(json.loads(public))
