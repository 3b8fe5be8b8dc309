"""Logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.4): a client is told that a sign-in has ended."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from keystead.server.authorization import keys, lifetimes
from keystead.server.authorization.models import LogoutNotice
from keystead.server.authorization.surroundings import issuer

TYPE: Final = "logout+jwt"
"""A type of its own, so that no verifier takes it for an ID token or an access token (RFC 8725 section 3.11)."""
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


def sign(notice: LogoutNotice, jti: UUID, now: datetime) -> str:
    """Return a new token that tells of the end; it has no ``nonce``, which section 2.4 forbids.

    Args:
        notice: who is told what.
        jti: of this token alone: a client that has seen it before takes a second one for a replay.
        now: when.
    """
    claims: dict[str, Any] = {
        "iss": issuer(),
        "sub": notice.subject,
        "aud": notice.audience,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetimes.LOGOUT_TOKEN).timestamp()),
        "jti": jti.hex,
        "sid": notice.sid,
        "events": {EVENT: {}},
    }
    return keys.sign(TYPE, claims, now)
