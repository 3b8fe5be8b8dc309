"""Suspending, lifting, and what the gateway needs to know of it.

A suspension is one row whatever it is of, so that nothing that can be suspended has a way of its own. It is kept apart
from what ends things for good: a revoked key, an ended membership and a disabled client stay so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from keystead.errors import PolicyDenied, UsageError
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations import operations as organizations
from keystead.server.organizations import roles
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.server.policy.decide import Suspension as Suspended
from keystead.server.suspensions.models import Suspension
from keystead.wire import ids

LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """What can be suspended: how a refusal begins, and the right to do it."""

    called: str
    permission: Permission


KEY: Final = Kind("This API key", Permission.KEYS_REVOKE_ANY)
MEMBER: Final = Kind("Your membership", Permission.MEMBERS_MANAGE)
SERVICE_ACCOUNT: Final = Kind("This service account", Permission.SERVICE_ACCOUNTS_MANAGE)
CLIENT: Final = Kind("This client", Permission.CLIENTS_MANAGE)
_KINDS: Final = {"key": KEY, "mem": MEMBER, "svac": SERVICE_ACCOUNT}
"""By the prefix of the subject; whatever has none of these is a client's name."""


def kind_of(subject: str) -> Kind:
    """Return what a subject is."""
    return _KINDS.get(subject.partition("_")[0], CLIENT)


def suspend(by: Membership, subject: str, reason: str, now: datetime) -> bool:
    """Have somebody or something use no models from now on; returns False when it is suspended already.

    Args:
        by: the administrator.
        subject: one of the organization's own, as the caller has found it there.
        reason: one sentence for those who are refused.
        now: when.

    Raises:
        PolicyDenied: their role may not, or it is their own membership or somebody's who can do more.
        UsageError: the reason will not do.
    """
    said = reason.strip()
    if not said or len(said) > LONGEST or not said.isprintable():
        raise UsageError(f"A suspension needs a reason of 1 to {LONGEST} printable characters.", hint="Say why.")
    _check(by, subject, "suspend")
    try:
        with transaction.atomic():
            Organization.objects.select_for_update(no_key=True).get(pk=by.organization_id)
            if reason_for(by.organization_id, ids.dump("membership", by.pk)):
                raise PolicyDenied("Your own membership is suspended.", hint="Ask another administrator.")
            row = {"organization_id": by.organization_id, "subject": subject, "reason": said}
            Suspension.objects.create(**row, by=by, at=now)
            _record(by, subject, "suspension:begin", {"reason": said}, now)
    except IntegrityError:
        return False
    return True


def lift(by: Membership, subject: str, now: datetime) -> bool:
    """Let a suspended one use models again; returns False when it is not suspended.

    Raises:
        PolicyDenied: as for :func:`suspend`.
    """
    _check(by, subject, "lift the suspension of")
    with transaction.atomic():
        living = Suspension.objects.filter(organization=by.organization_id, subject=subject, lifted_at=None)
        if not living.update(lifted_at=now, lifted_by=by):
            return False
        _record(by, subject, "suspension:lift", {}, now)
    return True


def reason_for(organization_id: UUID | None, subject: str) -> str:
    """Return why somebody or something is suspended, or nothing when it is not."""
    living = Suspension.objects.filter(organization=organization_id, subject=subject, lifted_at=None)
    return living.values_list("reason", flat=True).first() or ""


def living(organization: Organization) -> QuerySet[Suspension]:
    """Return what is suspended in an organization, the latest first."""
    return organization.suspensions.filter(lifted_at=None).select_related("by__person").order_by("-at")


def standing() -> Mapping[tuple[str, str], Suspended]:
    """Return every suspension that counts, by organization and subject, for the gateway's snapshot."""
    living = Suspension.objects.filter(lifted_at=None).values_list("organization_id", "subject", "reason")
    return {
        (ids.dump("organization", organization), subject): Suspended(kind_of(subject).called, reason)
        for organization, subject, reason in living
    }


def require(by: Membership, subject: str, doing: str = "suspend") -> None:
    """Check that ``by`` may suspend what is of the subject's kind.

    Raises:
        PolicyDenied: their role may not.
    """
    kind = kind_of(subject)
    organizations.require(by, kind.permission, f"{doing} {kind.called.partition(' ')[2]}s")


def _check(by: Membership, subject: str, doing: str) -> None:
    require(by, subject, doing)
    if kind_of(subject) is not MEMBER:
        return
    member = Membership.objects.get(pk=ids.parse("membership", subject), organization=by.organization_id)
    if member.pk == by.pk:
        raise PolicyDenied(f"You cannot {doing} your own membership.", hint="Another administrator can.")
    if not roles.covers(by.role, member.role):
        raise PolicyDenied(f"Your role {by.role} may not {doing} somebody who is {member.role}.", hint="Ask an admin.")


def _record(by: Membership, subject: str, action: str, details: audit.Details, now: datetime) -> None:
    """Write the audit event, and tell the gateway once the change is committed."""
    audit.record(
        organization=by.organization,
        actor=ids.dump("membership", by.pk),
        action=action,
        target=subject[:64],
        at=now,
        details=details,
    )
    transaction.on_commit(partial(CHANGES.publish, Change("suspension", subject)))
