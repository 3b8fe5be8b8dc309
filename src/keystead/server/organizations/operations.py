"""Who belongs where, and what they may do there."""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import UUIDField

from keystead.errors import PolicyDenied, UsageError
from keystead.server.changes import CHANGES, Change
from keystead.server.identity.models import Person
from keystead.server.organizations import roles
from keystead.server.organizations.models import Membership, Organization, Workspace
from keystead.server.organizations.roles import Permission, Role
from keystead.server.remembered import Remembered
from keystead.server.statements import Parameter, Prepared
from keystead.wire import ids

_DEFAULT_WORKSPACE: Final = Prepared(
    lambda: Workspace.objects.filter(organization=Parameter("organization", UUIDField()), is_default=True)
)
_REMEMBERED: Final = Remembered[Workspace]("organization")


def create_organization(name: str, now: datetime) -> Organization:
    """Store a new organization with its default workspace; call it inside a transaction."""
    organization = Organization.objects.create(name=name, created_at=now)
    Workspace.objects.create(organization=organization, name="Default", is_default=True, created_at=now)
    return organization


def named(name: str | None) -> Organization:
    """Return the organization of that name, or without one the only organization there is.

    Raises:
        UsageError: there is none, or it is not the only one.
    """
    found = list(Organization.objects.filter(**({} if name is None else {"name": name}))[:2])
    if len(found) == 1:
        return found[0]
    if name is None and found:
        raise UsageError("There are several organizations.", hint="Name one with --organization.")
    if name is None:
        raise UsageError("There is no organization yet.", hint="Set the server up: keystead server setup-link.")
    which = "no" if not found else "more than one"
    raise UsageError(f"There is {which} organization of that name.", hint="The console shows the names.")


def add_member(organization: Organization, person: Person, role: Role, now: datetime) -> Membership:
    """Store that ``person`` belongs to ``organization`` in ``role``."""
    member = Membership.objects.create(organization=organization, person=person, role=role.value, created_at=now)
    tell_address(member)
    return member


def tell_address(member: Membership) -> None:
    """Tell the gateway, once it is committed, that a policy may find ``member`` by another address than before."""
    wire_id = ids.dump("membership", member.pk)
    transaction.on_commit(lambda: CHANGES.publish(Change("member_address", wire_id)))


def membership_of(person: Person) -> Membership | None:
    """Return the membership a person acts in (the oldest), or None when they belong nowhere or are inactive."""
    if not person.is_active:
        return None
    acting = person.memberships.filter(deactivated_at=None).select_related("organization", "person")
    return acting.order_by("created_at", "id").first()


def default_workspace(organization: Organization) -> Workspace:
    """Return the workspace that keys and sign-ins count for unless another one is chosen."""
    return default_workspace_of(organization.pk)


def default_workspace_of(organization: UUID) -> Workspace:
    """Return the same by the organization's key; nothing that there is changes which one it is."""
    found = _REMEMBERED.get(organization, lambda: _DEFAULT_WORKSPACE.first(organization=organization))
    if found is None:
        raise Workspace.DoesNotExist
    return found


def may(member: Membership, permission: Permission) -> bool:
    """Return whether ``member`` has ``permission`` in their organization."""
    return roles.allows(member.role, permission)


def require(member: Membership, permission: Permission, doing: str) -> None:
    """Check that ``member`` has ``permission``; ``doing`` is what was attempted, as it reads after "may not".

    Raises:
        PolicyDenied: they have not; the message names the role and what it lacks.
    """
    if not may(member, permission):
        raise PolicyDenied(
            f"Your role {member.role} may not {doing}.",
            hint=f"Ask an administrator of {member.organization.name} for a role with {permission.value}.",
        )
