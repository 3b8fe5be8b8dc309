"""Statements that others signed (JWT, RFC 7519), verified against their public keys. Pure: keys and time are arguments.

The algorithm is looked up in one list of asymmetric ones, and the key must be of its type: neither an unsigned
statement nor one "signed" with a public key as a shared secret passes (RFC 8725 sections 3.1 and 3.2).
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NewType

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

ALGORITHMS: Final = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA")
LONGEST: Final = 8_192
LEEWAY: Final = 30
"""Seconds by which another's clock may differ from ours; the memory of used statements counts it in."""
SMALLEST_RSA: Final = 2_048

_KEY_TYPES: Final = {"ES": "EC", "RS": "RSA", "PS": "RSA", "Ed": "OKP"}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
UNREADABLE: Final = (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError)

SignedClaims = NewType("SignedClaims", dict[str, Any])
"""Claims whose signature and times hold; another type than what was merely read."""


class NotVerified(Exception):
    """The statement does not hold; the message is one sentence that repeats nothing of it."""


class UnknownKey(NotVerified):
    """No key of the set has the statement's ``kid``: perhaps the set is old."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a statement says about itself: good for finding out whose keys to use, and for nothing else."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    def text(self, claim: str) -> str | None:
        """Return a claim when it is a string that every database takes: nobody has vouched for it yet."""
        value = self.claims.get(claim)
        return value if isinstance(value, str) and _storable(value) else None


def _storable(text: str) -> bool:
    """Return whether a text is without NUL, which PostgreSQL refuses, and without half a character."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def read(token: str) -> Unverified | None:
    """Return header and claims of anything that looks like a signed statement, else None. Total."""
    if len(token) > LONGEST or not token.isascii() or token.count(".") != 2:
        return None
    try:
        header, claims = (_object(part) for part in token.split(".")[:2])
    except UNREADABLE:
        return None
    return Unverified(header, claims)


def _object(part: str) -> dict[str, Any]:
    found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    return found


def verify(token: str, keys: Mapping[str, Any], now: float) -> SignedClaims:
    """Return the claims of a statement that one of ``keys`` signed and that is in time.

    Args:
        token: the statement.
        keys: a JWK set (RFC 7517).
        now: Unix seconds.

    Raises:
        UnknownKey: the set has no key of that name.
        NotVerified: anything else is wrong.
    """
    stated = read(token)
    if stated is None:
        raise NotVerified("It is not a signed JWT.")
    algorithm = stated.header.get("alg")
    if algorithm not in ALGORITHMS:
        raise NotVerified("Its algorithm is not one of " + ", ".join(ALGORITHMS) + ".")
    for key in _candidates(stated, str(algorithm), keys):
        try:
            claims = jwt.decode(token, key, [str(algorithm)]).claims
        except UNREADABLE:
            continue
        _in_time(claims, now)
        if not are_text(claims):
            raise NotVerified("A claim of it has a NUL, or half a character.")
        return SignedClaims(claims)
    raise NotVerified("Its signature does not verify.")


def _candidates(stated: Unverified, algorithm: str, keys: Mapping[str, Any]) -> list[Key]:
    kid = stated.header.get("kid")
    listed = [one for one in _listed(keys) if kid is None or one.get("kid", kid) == kid]
    if not listed:
        raise UnknownKey("No known key of its issuer has its kid.")
    return [key for one in listed if (key := usable_key(one, algorithm)) is not None]


def _listed(keys: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = keys.get("keys")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def usable_key(jwk: dict[str, Any], algorithm: str) -> Key | None:
    """Return the key when it may verify ``algorithm``, else None; an odd key in a set spoils no other."""
    if jwk.get("kty") != _KEY_TYPES[algorithm[:2]] or jwk.get("use", "sig") != "sig":
        return None
    if jwk.get("alg", algorithm) != algorithm or jwk.get("crv") != _CURVES.get(algorithm):
        return None
    if jwk["kty"] == "RSA" and _bits(jwk) < SMALLEST_RSA:
        return None
    public = {name: value for name, value in jwk.items() if name in {"kty", "crv", "x", "y", "n", "e"}}
    try:
        return _imported(json.dumps(public, sort_keys=True))
    except UNREADABLE:
        return None


@lru_cache(maxsize=64)
def _imported(public: str) -> Key:
    """Return a public key; remembered, because importing it costs more than verifying with it."""
    return JWKRegistry.import_key(json.loads(public))


def _bits(jwk: dict[str, Any]) -> int:
    modulus = str(jwk.get("n", ""))
    try:
        return int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))).bit_length()
    except ValueError:
        return 0


def public_keys(keys: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the keys of a set that could verify something, without private members, for storing.

    Raises:
        NotVerified: the set holds a private or shared key, or none that can be used.
    """
    listed = _listed(keys)
    if any(one.keys() & {"d", "p", "q", "k"} for one in listed):
        raise NotVerified("It holds a private or a shared key: send the public half only.")
    usable = [one for one in listed if any(usable_key(one, algorithm) for algorithm in ALGORITHMS)]
    if not usable:
        raise NotVerified("It holds no public key (EC, RSA of 2048 bits or more, or Ed25519).")
    return usable


def _in_time(claims: Mapping[str, Any], now: float) -> None:
    """Check ``exp`` (which must be there), ``nbf`` and ``iat``."""
    expires = claims.get("exp")
    if not is_time(expires):
        raise NotVerified("It has no time of expiry (exp).")
    if now >= float(str(expires)) + LEEWAY:
        raise NotVerified("It has expired (exp).")
    for claim, reason in (("nbf", "It is not valid yet (nbf)."), ("iat", "It was issued in the future (iat).")):
        value = claims.get(claim)
        if value is not None and not (is_time(value) and float(value) - LEEWAY <= now):
            raise NotVerified(reason)


def are_text(claims: Mapping[str, Any]) -> bool:
    """Return whether every text among the claims can be hashed and written down, whatever the database."""
    listed = (one for value in claims.values() for one in (value if isinstance(value, list) else (value,)))
    return all(_storable(one) for one in listed if isinstance(one, str))


def is_time(value: object) -> bool:
    """Return whether a claim is a time as JWT has it: a number of seconds, and no nonsense."""
    return type(value) in {int, float} and 0 <= float(str(value)) < 1e11
