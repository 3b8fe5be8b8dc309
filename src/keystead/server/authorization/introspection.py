"""What a token means now, told to clients that may know (RFC 7662); to everybody else every token is inactive."""

from datetime import datetime
from typing import Any, Final

from keystead.server.authorization import access_tokens, sign_ins
from keystead.server.authorization.checks import standing, suspended
from keystead.server.authorization.models import Client, Grant, RefreshToken
from keystead.server.authorization.refusals import unauthenticated
from keystead.wire import tokens
from keystead.wire.tokens import TokenKind

INACTIVE: Final[dict[str, Any]] = {"active": False}
_TOLD: Final = ("iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti", "act", "cnf")


def introspect(token: str, client: Client | None, now: datetime) -> dict[str, Any]:
    """Return the claims of a living token, or that it is inactive: unknown, ended, suspended and not yours look alike.

    Raises:
        Refusal: ``invalid_client``: the client did not authenticate.
    """
    if client is None or not client.is_confidential:
        raise unauthenticated("Introspection is for clients that authenticate.")
    if tokens.parse(token) is TokenKind.REFRESH_TOKEN:
        return _refresh_token(token, client, now)
    claims = access_tokens.read(token, now.timestamp())
    grant = None if claims is None else sign_ins.of_wire_id(str(claims.get("sid")))
    if claims is None or grant is None or not _lives(grant, now) or not _may_know(client, grant):
        return INACTIVE
    return {
        "active": True,
        "token_type": "DPoP" if "cnf" in claims else "Bearer",
        **{name: claims[name] for name in _TOLD if name in claims},
    }


def _refresh_token(token: str, client: Client, now: datetime) -> dict[str, Any]:
    """Tell of a refresh token, to the client that it was given to only."""
    mine = RefreshToken.objects.select_related("grant__client", "grant__membership__person").filter(
        grant__client=client, used_at=None, expires_at__gt=now
    )
    found = mine.filter(digest=tokens.digest(token)).first()
    if found is None or not _lives(found.grant, now):
        return INACTIVE
    ends = int(min(found.expires_at, found.grant.expires_at).timestamp())
    return {
        "active": True,
        "client_id": client.client_id,
        "scope": found.grant.scope,
        "exp": ends,
        "sub": found.grant.subject_id,
    }


def _lives(grant: Grant, now: datetime) -> bool:
    ended = grant.revoked_at is not None or grant.expires_at <= now
    return not ended and standing.holds(grant) and not suspended.is_suspended(grant)


def _may_know(client: Client, grant: Grant) -> bool:
    """Return whether it is the client's own token, or one of the organization whose own program the client is."""
    if grant.client_id == client.pk:
        return True
    return client.first_party and client.organization_id == grant.organization_id
