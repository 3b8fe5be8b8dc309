"""Initial access tokens (RFC 7591 section 3): with one of them a program may register itself, and as what it says.

The token's policy is decided when it is made, by the same checks that hold for every client, so that nothing can be
registered with it that an administrator could not register by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, QuerySet

from keystead.errors import ConfigurationError, UsageError
from keystead.secret import Secret
from keystead.server.audit import operations as audit
from keystead.server.authorization import registry
from keystead.server.authorization.checks import scopes
from keystead.server.authorization.models import AuthMethod, RegistrationToken
from keystead.server.authorization.refusals import UNAUTHORIZED, Refusal
from keystead.server.authorization.registry import RandomBytes, Registration
from keystead.server.authorization.surroundings import server
from keystead.server.keys.models import ServiceAccount
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.wire import ids, tokens
from keystead.wire.oauth import DEVICE_CODE_GRANT
from keystead.wire.tokens import TokenKind

GRANTS: Final = {
    name: registry.GRANTS[name]
    for name in ("authorization_code", DEVICE_CODE_GRANT, "refresh_token", "client_credentials")
}
"""What a program may register itself for. Acting for others and taking workloads in is an administrator's to give."""
SCOPE_OF_PEOPLE: Final = "openid profile email offline_access"
LONGEST: Final = timedelta(days=90)
MOST_USES: Final = 1_000
_REALM: Final = 'Bearer realm="keystead"'
_PROBED: Final = frozenset({"grant_types", "scope"})


def usual_grants(*, in_its_own_name: bool) -> tuple[str, ...]:
    """Return what a program registers for when nobody says anything else."""
    return ("client_credentials",) if in_its_own_name else ("authorization_code", "refresh_token")


def usual_scope(*, in_its_own_name: bool) -> str:
    """Return the scopes a program registers for when nobody says anything else."""
    return scopes.MODELS_USE if in_its_own_name else SCOPE_OF_PEOPLE


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be registered with a token, how often, and how long.

    Attributes:
        name: what the token is for.
        grant_types: what a client may be registered for.
        scope: the scopes a client may be registered for, separated by spaces.
        lifetime: how long the token works.
        max_uses: how many clients may be registered with it.
        service_account: whom the clients stand for, with ``client_credentials``.
    """

    name: str
    grant_types: Sequence[str]
    scope: str
    lifetime: timedelta
    max_uses: int = 1
    service_account: ServiceAccount | None = None


def make(
    member: Membership, policy: Policy, now: datetime, random_bytes: RandomBytes
) -> tuple[RegistrationToken, Secret]:
    """Make a token for the member's organization.

    Returns:
        The token's row, and the token itself, which exists nowhere else: show it once.

    Raises:
        PolicyDenied: the member may not, or a client may not do what the policy allows (S-20).
        UsageError: something in the policy will not do.
        ConfigurationError: registration is off.
    """
    organizations.require(member, Permission.CLIENTS_MANAGE, "make registration tokens")
    return _make(member.organization, member, policy, now, random_bytes)


def make_as_operator(
    organization: Organization, policy: Policy, now: datetime, random_bytes: RandomBytes
) -> tuple[RegistrationToken, Secret]:
    """Make a token as whoever runs the server; otherwise as :func:`make`."""
    return _make(organization, None, policy, now, random_bytes)


def _make(
    organization: Organization, by: Membership | None, policy: Policy, now: datetime, random_bytes: RandomBytes
) -> tuple[RegistrationToken, Secret]:
    _require_on()
    _check(organization, policy)
    secret = tokens.mint(TokenKind.REGISTRATION_TOKEN, random_bytes)
    with transaction.atomic():
        token = RegistrationToken.objects.create(
            organization=organization,
            name=policy.name.strip(),
            digest=tokens.digest(secret),
            hint=secret[:8],
            grant_types=list(policy.grant_types),
            scope=" ".join(policy.scope.split()),
            service_account=policy.service_account,
            max_uses=policy.max_uses,
            created_by=by,
            created_at=now,
            expires_at=now + policy.lifetime,
        )
        _record(token, _actor(by), "registration_token:create", now)
    return token, Secret(secret)


def _require_on() -> None:
    if not server().dynamic_registration:
        raise ConfigurationError(
            "Programs cannot register themselves at this server.",
            hint="Set KEYSTEAD_SERVER_DYNAMIC_REGISTRATION to true and start the server again.",
            move="operator",
        )


def _check(organization: Organization, policy: Policy) -> None:
    name = policy.name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError("A token needs a name of 1 to 100 printable characters.", hint="Say who will use it.")
    if not timedelta(0) < policy.lifetime <= LONGEST:
        raise UsageError(f"A token works for {LONGEST.days} days at most.", hint="Make a new one then.")
    if not 0 < policy.max_uses <= MOST_USES:
        raise UsageError(f"A token registers 1 to {MOST_USES} clients.", hint="Make one for each program.")
    if not set(policy.grant_types) <= GRANTS.keys():
        raise UsageError("No program may register itself for that.", hint=f"It may for: {', '.join(GRANTS)}.")
    if policy.service_account is not None and policy.service_account.disabled_at is not None:
        raise UsageError("That service account has ended.", hint="Choose another one.")
    found = registry.fault(organization, _largest(policy), only=_PROBED)
    if found is not None:
        raise found.error


def _largest(policy: Policy) -> Registration:
    """Return the client that may do the most of all that can be registered."""
    return Registration(
        name=policy.name,
        auth_method=AuthMethod.CLIENT_SECRET_BASIC,
        grant_types=policy.grant_types,
        scope=policy.scope,
        service_account=policy.service_account,
    )


def list_for(member: Membership) -> QuerySet[RegistrationToken]:
    """Return the organization's tokens, newest first, for those who may manage clients."""
    if not organizations.may(member, Permission.CLIENTS_MANAGE):
        return RegistrationToken.objects.none()
    mine = RegistrationToken.objects.filter(organization=member.organization_id)
    return mine.select_related("created_by__person", "service_account").order_by("-created_at", "-id")


def find(member: Membership, token_id: str) -> RegistrationToken | None:
    """Return the token of that wire identifier if the member may manage it."""
    try:
        return list_for(member).filter(pk=ids.parse("registration_token", token_id)).first()
    except ValueError:
        return None


def described(token: RegistrationToken) -> dict[str, Any]:
    """Return what a token is, as plain values, without the token itself."""
    return {
        "id": token.wire_id,
        "name": token.name,
        "organization": token.organization.name,
        "grant_types": token.grant_types,
        "scope": token.scope,
        "service_account": None if token.service_account is None else token.service_account.name,
        "max_uses": token.max_uses,
        "expires_at": token.expires_at.isoformat(),
    }


def works(token: RegistrationToken, now: datetime) -> bool:
    """Return whether a client could be registered with it now."""
    return token.revoked_at is None and token.expires_at > now and token.uses < token.max_uses


def revoke(token: RegistrationToken, by: Membership, now: datetime) -> bool:
    """End a token at once; returns False when it was revoked before. Clients registered with it stay.

    Raises:
        PolicyDenied: the member may not.
    """
    organizations.require(by, Permission.CLIENTS_MANAGE, "revoke registration tokens")
    with transaction.atomic():
        mine = RegistrationToken.objects.filter(pk=token.pk, organization=by.organization_id, revoked_at=None)
        if not mine.update(revoked_at=now):
            return False
        _record(token, _actor(by), "registration_token:revoke", now)
    return True


def presented(authorization: str | None, now: datetime) -> RegistrationToken:
    """Return the token that a request shows; nothing is used up by looking.

    It is found by its hash, so time tells nothing of it.

    Args:
        authorization: the header of that name (RFC 6750 section 2.1).
        now: when.

    Raises:
        Refusal: ``invalid_token``; whether it is unknown, revoked, expired or used up is not told apart.
    """
    text = bearer(authorization, TokenKind.REGISTRATION_TOKEN)
    known = RegistrationToken.objects.select_related("organization", "service_account")
    found = known.filter(digest=tokens.digest(text)).first()
    if found is None or not works(found, now):
        raise invalid_token()
    return found


def bearer(authorization: str | None, kind: TokenKind) -> str:
    """Return the token of that kind that a request shows (RFC 6750 section 2.1); whether it works is not looked at.

    Raises:
        Refusal: ``invalid_token``: it shows none, or something else.
    """
    scheme, _, text = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        challenge = {"WWW-Authenticate": _REALM}  # RFC 6750 section 3.1: no error code when nothing was shown
        raise Refusal("invalid_token", "A token for registration is needed here.", UNAUTHORIZED, challenge)
    if tokens.parse(text.strip()) is not kind:
        raise invalid_token()
    return text.strip()


def use(token: RegistrationToken, now: datetime) -> None:
    """Count one client against the token, by compare-and-swap; call it in the transaction that stores the client.

    Raises:
        Refusal: ``invalid_token``: somebody used it up or ended it meanwhile.
    """
    living = RegistrationToken.objects.filter(pk=token.pk, revoked_at=None, expires_at__gt=now, uses__lt=F("max_uses"))
    if living.update(uses=F("uses") + 1) != 1:
        raise invalid_token()


def invalid_token() -> Refusal:
    """The token registers nobody (RFC 6750 section 3.1)."""
    challenge = {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'}
    description = "The token for registration is unknown, has ended, or was used up."
    return Refusal("invalid_token", description, UNAUTHORIZED, challenge)


def _actor(member: Membership | None) -> str:
    return audit.SYSTEM if member is None else ids.dump("membership", member.id)


def _record(token: RegistrationToken, actor: str, action: str, now: datetime) -> None:
    audit.record(
        organization=token.organization,
        actor=actor,
        action=action,
        target=token.wire_id,
        at=now,
        details={
            "name": token.name,
            "hint": token.hint,
            "grant_types": " ".join(token.grant_types),
            "scope": token.scope,
            "max_uses": token.max_uses,
            "expires_at": token.expires_at.isoformat(),
        },
    )
