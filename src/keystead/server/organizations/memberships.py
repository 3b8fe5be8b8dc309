"""The life of a membership: a role that may change, an end, and perhaps a return.

Ending one ends everything begun under it, by one column (:class:`~keystead.server.organizations.models.Membership`).
Whoever accepts a credential asks :func:`lost`, or :func:`holds` for one in memory.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet

from keystead.errors import PolicyDenied
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Role
from keystead.wire import ids


def lost(path: str) -> Q:
    """Return the condition that a membership carries a row with ``created_at`` no more; ``path`` leads to it.

    It ended, its person is inactive, or the row was begun before it last ended. A row without membership is not lost.
    """
    ended = {f"{path}deactivated_at__isnull": False}
    inactive = {f"{path}person__is_active": False}
    older = {f"{path}credentials_since__gt": F("created_at")}
    return Q(**ended) | Q(**inactive) | Q(**older)


def holds(membership: Membership, begun_at: datetime) -> bool:
    """Return whether what was begun at ``begun_at`` under this membership still counts."""
    since = membership.credentials_since
    alive = membership.deactivated_at is None and membership.person.is_active
    return alive and (since is None or begun_at >= since)


def of(organization: Organization) -> QuerySet[Membership]:
    """Return an organization's memberships by name, those that ended too."""
    members = Membership.objects.filter(organization=organization).select_related("person", "organization")
    return members.order_by("person__name", "person__email", "id")


def deactivate(membership: Membership, actor: str, reason: str, now: datetime) -> bool:
    """End a membership and every sign-in and key under it; returns False when it had ended before.

    Args:
        membership: the membership.
        actor: wire identifier of who ends it, for the audit record.
        reason: one word for the audit record.
        now: when; what was begun before this moment is over.

    Raises:
        PolicyDenied: it is the organization's last active administrator.
    """
    with transaction.atomic():
        _keep_an_administrator(membership)
        waiting = Membership.objects.filter(pk=membership.pk, deactivated_at=None)
        if not waiting.update(deactivated_at=now, credentials_since=now, changed_at=now):
            return False
        _record(membership, actor, "membership:deactivate", {"reason": reason}, now)
    membership.refresh_from_db()
    return True


def reactivate(membership: Membership, actor: str, now: datetime) -> bool:
    """Let a person act again; what ended stays ended. Returns False when they already may."""
    with transaction.atomic():
        ended = Membership.objects.filter(pk=membership.pk, deactivated_at__isnull=False)
        if not ended.update(deactivated_at=None, credentials_since=now, changed_at=now):
            return False
        _record(membership, actor, "membership:reactivate", {}, now)
    membership.refresh_from_db()
    return True


def change_role(membership: Membership, role: Role, actor: str, now: datetime) -> None:
    """Give a member another role; it counts from their next request on.

    Raises:
        PolicyDenied: it is the organization's last active administrator, and the role is another.
    """
    with transaction.atomic():
        if role is not Role.ADMIN:
            _keep_an_administrator(membership)
        Membership.objects.filter(pk=membership.pk).update(role=role.value, changed_at=now)
        _record(membership, actor, "membership:change_role", {"from": membership.role, "to": role.value}, now)
    membership.refresh_from_db()


def _keep_an_administrator(leaving: Membership) -> None:
    """Refuse to leave an organization that nobody can administer; the lock makes two who leave at once take turns.

    Rows that only point at the organization, such as audit records of others, do not wait for it.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=leaving.organization_id)
    of_it = Membership.objects.filter(organization=leaving.organization_id, deactivated_at=None, person__is_active=True)
    administrators = of_it.filter(role=Role.ADMIN.value)
    if set(administrators.values_list("pk", flat=True)) == {leaving.pk}:
        raise PolicyDenied(
            f"{leaving.person} is the last administrator of {leaving.organization.name}.",
            hint="Make somebody else an administrator first.",
        )


def _record(membership: Membership, actor: str, action: str, details: audit.Details, now: datetime) -> None:
    """Write the audit event, and tell the gateway once the change is committed."""
    wire_id = ids.dump("membership", membership.pk)
    audit.record(
        organization=membership.organization, actor=actor, action=action, target=wire_id, at=now, details=details
    )
    transaction.on_commit(lambda: CHANGES.publish(Change("member", wire_id)))
