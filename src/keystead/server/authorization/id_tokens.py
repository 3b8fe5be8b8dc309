"""ID tokens (OpenID Connect Core section 2) and logout tokens (Back-Channel Logout section 2.4): news for a client."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError

from keystead.server.authorization import browser_session, keys
from keystead.server.authorization.models import Grant
from keystead.server.authorization.surroundings import issuer
from keystead.server.identifiers import new_hex
from keystead.wire import ids

LIFETIME: Final = timedelta(hours=1)
LOGOUT_LIFETIME: Final = timedelta(minutes=2)
CLAIMS: Final = (
    *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"),
    *("name", "email"),
)
"""Every claim a client may find in an ID token or at the userinfo endpoint."""
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST: Final = 4096


def sign(grant: Grant, access_token: str, nonce: str, now: datetime) -> str:
    """Return the ID token of a sign-in that has just begun.

    Args:
        grant: the sign-in.
        access_token: what goes to the client with it.
        nonce: the client's own, or empty.
        now: when.
    """
    claims: dict[str, Any] = {
        **_about(grant, now, LIFETIME),
        "at_hash": _half_hash(access_token),
        "acr": browser_session.context(grant.authentication_methods),
    }
    if grant.authenticated_at is not None:
        claims["auth_time"] = int(grant.authenticated_at.timestamp())
    if grant.authentication_methods:
        claims["amr"] = grant.authentication_methods.split()
    if nonce:
        claims["nonce"] = nonce
    return _signed("JWT", claims, now)


def _about(grant: Grant, now: datetime, lifetime: timedelta) -> dict[str, Any]:
    return {
        "iss": issuer(),
        "sub": grant.subject_id,
        "aud": grant.client.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
        "sid": ids.dump("grant", grant.id),
    }


def _half_hash(token: str) -> str:
    """Return the left half of the hash (OpenID Connect Core section 3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).rstrip(b"=").decode()


def _signed(kind: str, claims: dict[str, Any], now: datetime) -> str:
    kid, key = keys.signing_key(now)
    return jwt.encode({"alg": keys.ALGORITHM, "typ": kind, "kid": kid}, claims, key, [keys.ALGORITHM])


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token of ours says when a client sends it back; it may have expired, for it only hints."""

    client_id: str
    person_id: str
    grant_id: str


def hint(token: str, now: datetime) -> Hint | None:
    """Return what an ``id_token_hint`` says if we signed it, else None. Total."""
    if len(token) > _LONGEST or not token.isascii():
        return None

    def key_for(signature: Any) -> Any:
        key = keys.verification_key(str(signature.headers().get("kid")), now)
        if key is None:
            raise ValueError
        return key

    try:
        decoded = jwt.decode(token, key_for, [keys.ALGORITHM])
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        return None
    said = [decoded.claims.get(name) for name in ("aud", "sub", "sid")]
    if decoded.header.get("typ") != "JWT" or decoded.claims.get("iss") != issuer():
        return None
    texts = [text for text in said if isinstance(text, str)]
    return Hint(*texts) if len(texts) == len(said) else None


def sign_logout(grant: Grant, now: datetime) -> str:
    """Return the token that tells a client that this sign-in has ended; it has no nonce, so that it is no ID token."""
    claims = {**_about(grant, now, LOGOUT_LIFETIME), "jti": new_hex(), "events": {_LOGOUT_EVENT: {}}}
    return _signed("logout+jwt", claims, now)
