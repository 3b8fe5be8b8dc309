"""An organization's SCIM tokens: made and ended by its administrators, shown once, two at most."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q

from keystead.errors import UsageError
from keystead.secret import Secret
from keystead.server.audit import operations as audit
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.server.scim.models import ScimToken
from keystead.wire import ids, tokens

AT_MOST: Final = 2
"""One in use, and one that replaces it."""

_NOTED: Final = timedelta(hours=1)


def require(member: Membership) -> None:
    """Check that ``member`` may set provisioning up.

    Raises:
        PolicyDenied: their role may not.
    """
    organizations.require(member, Permission.SCIM_MANAGE, "set provisioning up")


def live(organization: Organization) -> list[ScimToken]:
    """Return the tokens that work, oldest first."""
    return list(ScimToken.objects.filter(organization=organization, ended_at=None).order_by("created_at", "id"))


def make(by: Membership, now: datetime, random_bytes: Callable[[int], bytes]) -> tuple[ScimToken, Secret]:
    """Make a token; the secret exists nowhere else: show it once.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: there are two already.
    """
    require(by)
    secret = tokens.mint(tokens.TokenKind.SCIM_TOKEN, random_bytes)
    with transaction.atomic():
        # Of two administrators who make the second token at once, one waits here and then finds it made.
        organization = Organization.objects.select_for_update().get(pk=by.organization_id)
        if len(live(organization)) >= AT_MOST:
            raise UsageError("There are two tokens already.", hint="End the one that is no longer used first.")
        token = ScimToken.objects.create(
            organization=organization, digest=tokens.digest(secret), hint=secret[:8], created_at=now, created_by=by
        )
        _record(token, by, "scim_token:create", now)
    return token, Secret(secret)


def find(member: Membership, token_id: str) -> ScimToken | None:
    """Return the token of the member's organization with that identifier."""
    try:
        return ScimToken.objects.filter(organization=member.organization, pk=ids.parse("scim_token", token_id)).first()
    except ValueError:
        return None


def end(token: ScimToken, by: Membership, now: datetime) -> bool:
    """End a token at once; returns False when it had ended before.

    Raises:
        PolicyDenied: the member's role may not.
    """
    require(by)
    with transaction.atomic():
        if not ScimToken.objects.filter(pk=token.pk, ended_at=None).update(ended_at=now):
            return False
        _record(token, by, "scim_token:end", now)
    return True


def authenticate(text: str, organization_id: str, now: datetime) -> ScimToken | None:
    """Return the token, if it works for that organization; it is found by its hash, so time tells nothing of it."""
    if tokens.parse(text) is not tokens.TokenKind.SCIM_TOKEN:
        return None
    found = ScimToken.objects.select_related("organization").filter(digest=tokens.digest(text), ended_at=None).first()
    if found is None or ids.dump("organization", found.organization_id) != organization_id:
        return None
    unnoted = Q(last_used_at=None) | Q(last_used_at__lt=now - _NOTED)
    ScimToken.objects.filter(unnoted, pk=found.pk).update(last_used_at=now)
    return found


def _record(token: ScimToken, by: Membership, action: str, now: datetime) -> None:
    audit.record(
        organization=token.organization,
        actor=ids.dump("membership", by.id),
        action=action,
        target=token.wire_id,
        at=now,
        details={"hint": token.hint},
    )
