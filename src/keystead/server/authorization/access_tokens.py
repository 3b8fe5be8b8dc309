"""Access tokens: signed statements (RFC 9068) that the gateway verifies without a database."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey

from keystead.server.authorization import keys
from keystead.server.authorization.lifetimes import LEEWAY
from keystead.server.authorization.models import Grant
from keystead.server.authorization.surroundings import issuer, server
from keystead.server.organizations import operations as organizations
from keystead.wire import ids

TYPE: Final = "at+jwt"
_MAX_LENGTH: Final = 4096

FindKey = Callable[[str, datetime], ECKey | None]
"""Gives the public key of a ``kid`` at a time; the default reads the database."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified access token says; identifiers in wire form, times in Unix seconds.

    Attributes:
        subject_id: the person or the service account.
        membership_id: of the person; None for a service account, which ``service_account_id`` then names.
        key_thumbprint: of the key that the token is bound to (RFC 9449), or empty for a bearer token.
    """

    subject_id: str
    client_id: str
    grant_id: str
    organization_id: str
    workspace_id: str
    scope: str
    expires_at: float
    key_thumbprint: str = ""
    membership_id: str | None = None
    service_account_id: str | None = None


def sign(grant: Grant, scope: str, jti: UUID, now: datetime, key_thumbprint: str = "") -> tuple[str, int]:
    """Return a new access token for ``grant`` and its lifetime in seconds; it never outlives the sign-in."""
    lifetime = min(server().access_token_seconds, int((grant.expires_at - now).total_seconds()))
    issued_at = int(now.timestamp())
    claims = {
        "iss": issuer(),
        "aud": issuer(),
        "sub": grant.subject_id,
        "client_id": grant.client.client_id,
        "iat": issued_at,
        "exp": issued_at + lifetime,
        "jti": jti.hex,
        "scope": scope,
        "sid": ids.dump("grant", grant.id),
        "org": ids.dump("organization", grant.organization_id),
        **_owner(grant),
        **({} if grant.act is None else {"act": grant.act}),
        **({"cnf": {"jkt": key_thumbprint}} if key_thumbprint else {}),
    }
    return keys.sign(TYPE, claims, now), lifetime


def _owner(grant: Grant) -> dict[str, str]:
    """Return the claims that say whose sign-in it is, and for which workspace it counts."""
    if grant.service_account is not None:
        workspace = grant.service_account.workspace_id
        return {"wrk": ids.dump("workspace", workspace), "svc": grant.service_account.wire_id}
    assert grant.membership_id is not None, "the constraint one_owner_per_grant"
    workspace = organizations.default_workspace_of(grant.organization_id).id
    return {"wrk": ids.dump("workspace", workspace), "mem": ids.dump("membership", grant.membership_id)}


def verify(token: str, now: float, find_key: FindKey = keys.verification_key) -> Claims | None:
    """Return what ``token`` says if this server signed it for itself and it is in time, else None."""
    claims = read(token, now, find_key)
    return None if claims is None else _claims(claims)


def read(token: str, now: float, find_key: FindKey = keys.verification_key) -> dict[str, Any] | None:
    """Return all claims of a token that holds, else None; :func:`verify` gives them names and types.

    Total: any string gives claims or None. The algorithm and the type are pinned, so that neither an unsigned
    token, nor one signed with the public key as a shared secret, nor an ID token passes (RFC 8725, RFC 9068).
    """
    if len(token) > _MAX_LENGTH or not token.isascii():
        return None
    moment = datetime.fromtimestamp(now, UTC)

    def key_for(signature: Any) -> ECKey:
        key = find_key(str(signature.headers().get("kid")), moment)
        if key is None:
            raise InvalidKeyIdError
        return key

    try:
        decoded = jwt.decode(token, key_for, [keys.ALGORITHM])
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if decoded.header.get("typ") != TYPE or not _for_us_now(decoded.claims, now):
        return None
    return decoded.claims


def _for_us_now(claims: dict[str, Any], now: float) -> bool:
    us = issuer()
    expires, issued = claims.get("exp"), claims.get("iat")
    return (
        claims.get("iss") == us
        and claims.get("aud") == us
        and type(expires) is int
        and type(issued) is int
        and now < expires + LEEWAY
        and issued - LEEWAY <= now
    )


_NAMES: Final = {
    "subject_id": "sub",
    "client_id": "client_id",
    "grant_id": "sid",
    "organization_id": "org",
    "workspace_id": "wrk",
    "scope": "scope",
}
_OWNERS: Final = {"membership_id": "mem", "service_account_id": "svc"}


def _claims(claims: dict[str, Any]) -> Claims | None:
    texts = {name: claims.get(claim) for name, claim in _NAMES.items()}
    values = {name: text for name, text in texts.items() if isinstance(text, str)}
    owner = {name: text for name, claim in _OWNERS.items() if isinstance(text := claims.get(claim), str)}
    if len(values) < len(_NAMES) or len(owner) != 1:
        return None
    confirmation = claims.get("cnf", {})
    thumbprint = confirmation.get("jkt", "") if isinstance(confirmation, dict) else None
    if not isinstance(thumbprint, str) or ("cnf" in claims and not thumbprint):
        return None  # bound to something that cannot be checked here
    return Claims(**values, **owner, expires_at=float(claims["exp"]), key_thumbprint=thumbprint)
