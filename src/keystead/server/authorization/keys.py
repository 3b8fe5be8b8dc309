"""The keys that sign access tokens: ES256, one that signs, older ones that still verify.

The private half rests in the database, encrypted (JWE ``dir`` with A256GCM) under a key derived from the
installation's secret key, which rests in the data directory: neither a stolen database nor a stolen backup of it
can sign, and several servers on one database share their keys (``docs/decisions/010-signing-keys-in-the-database.md``).
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from django.core.cache import cache
from django.db import transaction
from django.db.models import DateTimeField, Q, QuerySet
from joserfc.jwk import ECKey

from keystead.secret import Secret
from keystead.server.audit import operations as audit
from keystead.server.authorization.lifetimes import SIGNING_KEY_AHEAD, SIGNING_KEY_OVERLAP
from keystead.server.authorization.models import SigningKey
from keystead.server.changes import CHANGES, Change
from keystead.server.remembered import Remembered
from keystead.server.sealing import derived_key, seal, unseal
from keystead.server.statements import Parameter, Prepared

ALGORITHM: Final = "ES256"
_ES256: Final = ECDSA(SHA256())
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"))
_PUBLISHED: Final = "authorization:published-keys"
_JUST_READ: Final = "authorization:keys-just-read"
SEALED: Final = "signing keys"
"""What the private halves are sealed for."""

NewKey = Callable[[], ECKey]


def new_key() -> ECKey:
    """Return a new random P-256 key."""
    return ECKey.generate_key("P-256")


def signing_key(now: datetime, make: NewKey = new_key) -> tuple[str, ECKey]:
    """Return the key that signs and its ``kid``; the first call of an installation makes it."""
    row = _signing(now) or _first(now, make)
    return row.kid, _opened(row.sealed, derived_key(SEALED))


def sign(kind: str, claims: Mapping[str, Any], now: datetime) -> str:
    """Return ``claims`` as a JWT (RFC 7519, RFC 7515 section 7.1) signed with ES256 by the key that signs now.

    Written out here, since the general way costs as much again as the signature (RFC 7518 section 3.4). All that
    verifies is joserfc's.

    Args:
        kind: the header's ``typ``.
        claims: what it says.
        now: when.
    """
    kid, key = signing_key(now)
    body = _COMPACT.encode(claims).encode()
    signed = f"{_header(kind, kid)}.{_base64url(body)}"
    private = key.private_key
    assert private is not None, "the private half"
    first, second = decode_dss_signature(private.sign(signed.encode(), _ES256))
    return f"{signed}.{_base64url(first.to_bytes(32) + second.to_bytes(32))}"


@lru_cache(maxsize=64)
def _header(kind: str, kid: str) -> str:
    return _base64url(_COMPACT.encode({"alg": ALGORITHM, "typ": kind, "kid": kid}).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signing(now: datetime) -> SigningKey | None:
    """Return the newest key that everybody has had the time to fetch; while there is none such, the oldest."""
    remembered = _REMEMBERED.get("alive", lambda: tuple(_NEWEST_FIRST.all(now=now)) or None) or ()
    alive = [row for row in remembered if row.published_until is None or row.published_until > now]
    known = (row for row in alive if row.created_at <= now - SIGNING_KEY_AHEAD)
    return next(known, alive[-1] if alive else None)


def _alive(now: datetime | Parameter) -> QuerySet[SigningKey]:
    return SigningKey.objects.filter(Q(published_until=None) | Q(published_until__gt=now))


_NEWEST_FIRST: Final = Prepared(lambda: _alive(Parameter("now", DateTimeField())).order_by("-created_at", "kid"))
_REMEMBERED: Final = Remembered[tuple[SigningKey, ...]]("signing_key")
"""The keys that lived when they were read; which one signs is a question of time, and asked each time."""


def _first(now: datetime, make: NewKey) -> SigningKey:
    with transaction.atomic():
        return _signing(now) or _store(now, make())


@dataclass(frozen=True, slots=True)
class Rotation:
    """What :func:`rotate` did.

    Attributes:
        kid: the new key.
        signs_from: when it begins to sign.
        replaced: the keys it takes the place of, and until when they verify.
    """

    kid: str
    signs_from: datetime
    replaced: Mapping[str, datetime]


def rotate(now: datetime, make: NewKey = new_key, *, compromised: bool = False) -> Rotation:
    """Publish a new key, which signs a little later; the old ones verify until the last token of theirs has ended.

    Args:
        now: when.
        make: makes the key.
        compromised: an old key is in wrong hands: the new one signs at once, the old ones verify nothing any more, so
            that every access token ends and is renewed.
    """
    ends = now if compromised else now + SIGNING_KEY_AHEAD + SIGNING_KEY_OVERLAP
    with transaction.atomic():
        replaced = _alive(now) if compromised else SigningKey.objects.filter(published_until=None)
        kids = list(replaced.order_by("created_at").values_list("kid", flat=True))
        SigningKey.objects.filter(kid__in=kids).update(published_until=ends)
        row = _store(now, make())
        audit.record(
            organization=None,
            actor=audit.SYSTEM,
            action="signing_key:rotate",
            target=row.kid,
            at=now,
            details={"compromised": compromised},
        )
    at_once = compromised or not kids
    return Rotation(row.kid, now if at_once else now + SIGNING_KEY_AHEAD, dict.fromkeys(kids, ends))


def _store(now: datetime, key: ECKey) -> SigningKey:
    kid = key.thumbprint()
    transaction.on_commit(partial(_announce, kid))
    private = json.dumps(key.as_dict(private=True))
    return SigningKey.objects.create(
        kid=kid,
        public_jwk=key.as_dict(private=False),
        sealed=seal(SEALED, Secret(private)),
        created_at=now,
    )


def _announce(kid: str) -> None:
    cache.delete(_PUBLISHED)
    CHANGES.publish(Change("signing_key", kid))


@lru_cache(maxsize=16)
def _opened(sealed: str, _under: bytes) -> ECKey:
    """Return the private key; remembered, because opening it costs more than signing with it."""
    return ECKey.import_key(json.loads(unseal(SEALED, sealed).reveal()))


def jwks(now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return the published keys as a JWK set (RFC 7517)."""
    rows = _alive(now).order_by("created_at")
    return {"keys": [{**row.public_jwk, "kid": row.kid, "alg": ALGORITHM, "use": "sig"} for row in rows]}


def overview(now: datetime) -> list[dict[str, str | None]]:
    """Return every published key, oldest first, with its ``state``: ``next``, ``signing`` or ``verifying``."""
    signing = _signing(now)
    return [
        {
            "kid": row.kid,
            "state": "signing" if row == signing else "verifying" if row.published_until else "next",
            "created_at": row.created_at.isoformat(),
            "published_until": row.published_until.isoformat() if row.published_until and row != signing else None,
        }
        for row in _alive(now).order_by("created_at")
    ]


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
