"""Service accounts: made, listed and disabled by an organization's administrators."""

from datetime import datetime
from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from keystead.errors import UsageError
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.keys.models import ServiceAccount
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization, Workspace
from keystead.server.organizations.roles import Permission, Role
from keystead.wire import ids

ROLES: Final = (Role.AGENT_USER, Role.DEVELOPER)
"""What a program may be: never an administrator, who could let in others."""


def create(
    member: Membership, name: str, *, now: datetime, role: Role = Role.AGENT_USER, workspace: Workspace | None = None
) -> ServiceAccount:
    """Store a service account of the member's organization, by default in its default workspace.

    Raises:
        PolicyDenied: the member may not.
        UsageError: the name or the role will not do, or the workspace is another organization's.
    """
    organizations.require(member, Permission.SERVICE_ACCOUNTS_MANAGE, "create service accounts")
    name, place = name.strip(), workspace or organizations.default_workspace(member.organization)
    _check(member, name, role, place)
    with transaction.atomic():
        account = ServiceAccount.objects.create(
            organization=member.organization,
            workspace=place,
            name=name,
            role=role.value,
            created_by=member,
            created_at=now,
        )
        _record(account, member, "service_account:create", now)
    return account


def _check(member: Membership, name: str, role: Role, workspace: Workspace) -> None:
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError("A service account needs a name of 1 to 100 printable characters.", hint="Name the pipeline.")
    if role not in ROLES:
        raise UsageError("A service account cannot have that role.", hint=f"It may be {' or '.join(ROLES)}.")
    if workspace.organization_id != member.organization_id:
        raise UsageError("That workspace belongs to another organization.", hint="Choose one of your own.")
    if ServiceAccount.objects.filter(organization=member.organization_id, name=name, disabled_at=None).exists():
        raise UsageError("There is a service account of that name.", hint="Choose another name.")


def disable(account: ServiceAccount, by: Membership, now: datetime) -> bool:
    """End a service account and every token of it, for good; returns False when it had ended before.

    Raises:
        PolicyDenied: the member may not.
    """
    organizations.require(by, Permission.SERVICE_ACCOUNTS_MANAGE, "disable service accounts")
    with transaction.atomic():
        mine = ServiceAccount.objects.filter(id=account.id, organization=by.organization_id, disabled_at=None)
        if not mine.update(disabled_at=now):
            return False
        _record(account, by, "service_account:disable", now)
        transaction.on_commit(partial(CHANGES.publish, Change("service_account", account.wire_id)))
    return True


def list_for(member: Membership) -> QuerySet[ServiceAccount]:
    """Return the organization's service accounts, newest first, for those who may manage them."""
    if not organizations.may(member, Permission.SERVICE_ACCOUNTS_MANAGE):
        return ServiceAccount.objects.none()
    mine = ServiceAccount.objects.filter(organization=member.organization_id)
    return mine.select_related("workspace").order_by("-created_at", "-id")


def named(organization: Organization, name: str) -> ServiceAccount:
    """Return the organization's service account of that name, for whoever runs the server.

    Raises:
        UsageError: there is none, or it has ended.
    """
    found = ServiceAccount.objects.filter(organization=organization, name=name, disabled_at=None).first()
    if found is None:
        raise UsageError("There is no service account of that name.", hint="The console lists them under Workloads.")
    return found


def find(member: Membership, account_id: str) -> ServiceAccount | None:
    """Return the service account with that wire identifier if the member may manage it."""
    try:
        return list_for(member).filter(id=ids.parse("service_account", account_id)).first()
    except ValueError:
        return None


def _record(account: ServiceAccount, by: Membership, action: str, now: datetime) -> None:
    audit.record(
        organization=account.organization,
        actor=ids.dump("membership", by.id),
        action=action,
        target=account.wire_id,
        at=now,
        details={"name": account.name, "role": account.role},
    )
