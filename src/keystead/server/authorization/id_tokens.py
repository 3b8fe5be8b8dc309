"""ID tokens (OpenID Connect Core section 2): who has just signed in, for a client."""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any, Final

from keystead.server.authorization import browser_session, keys
from keystead.server.authorization.models import Grant
from keystead.server.authorization.surroundings import issuer
from keystead.wire import ids

LIFETIME: Final = timedelta(hours=1)
CLAIMS: Final = (
    *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"),
    *("name", "email"),
)
"""Every claim a client may find in an ID token or at the userinfo endpoint."""


def sign(grant: Grant, access_token: str, nonce: str, now: datetime) -> str:
    """Return the ID token of a sign-in that has just begun.

    Args:
        grant: the sign-in.
        access_token: what goes to the client with it.
        nonce: the client's own, or empty.
        now: when.
    """
    claims: dict[str, Any] = {
        "iss": issuer(),
        "sub": grant.subject_id,
        "aud": grant.client.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFETIME).timestamp()),
        "sid": ids.dump("grant", grant.id),
        "at_hash": _half_hash(access_token),
        "acr": browser_session.context(grant.authentication_methods),
    }
    if grant.authenticated_at is not None:
        claims["auth_time"] = int(grant.authenticated_at.timestamp())
    if grant.authentication_methods:
        claims["amr"] = grant.authentication_methods.split()
    if nonce:
        claims["nonce"] = nonce
    return keys.sign("JWT", claims, now)


def _half_hash(token: str) -> str:
    """Return the left half of the hash (OpenID Connect Core section 3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).rstrip(b"=").decode()
