"""Groups as an administrator keeps them; those that an identity provider keeps are only shown."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

from django.db import transaction
from django.db.models import Count, QuerySet

from keystead.errors import PolicyDenied, UsageError
from keystead.server.organizations import groups
from keystead.server.organizations.models import Group, GroupSource, Membership, Organization
from keystead.server.people import members
from keystead.server.policies.models import Policy
from keystead.wire import ids

T = TypeVar("T")

KEPT_BY: Final = {
    GroupSource.SCIM.value: ("your identity provider (SCIM)", "Change it there; it follows here at once."),
    GroupSource.SSO.value: ("single sign-on", "Change it at your identity provider; it follows at each sign-in."),
}
"""Who keeps a group that is only shown here, and what to do instead."""


def all_of(by: Membership) -> QuerySet[Group]:
    """Return the organization's groups by name, each with ``size``, the number of its members."""
    return Group.objects.filter(organization=by.organization).annotate(size=Count("members")).order_by("name")


def find(by: Membership, group_id: str) -> Group | None:
    """Return the group ``grp_…`` of the member's own organization, or None."""
    try:
        found = Group.objects.select_related("organization").filter(organization=by.organization)
        return found.filter(pk=ids.parse("group", group_id)).first()
    except ValueError:
        return None


def policies_for(group: Group) -> list[Policy]:
    """Return the policies that name the group, in their order."""
    return list(group.policies.order_by("position", "id"))


def kept_by(group: Group) -> str:
    """Return who keeps a group that is only shown here; empty for the console's own."""
    return KEPT_BY.get(group.source, ("", ""))[0]


def create(by: Membership, name: str, now: datetime) -> Group:
    """Make an empty group.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: the name will not do, or another group has it.
    """
    members.require(by)
    return groups.create(by.organization, name, source=GroupSource.CONSOLE, actor=_name(by), now=now)


def rename(by: Membership, group: Group, name: str, now: datetime) -> None:
    """Give a group another name.

    Raises:
        PolicyDenied: the member's role may not, or somebody else keeps the group.
        UsageError: the name will not do, another group has it, or the group is gone.
    """
    _changing(by, group, lambda found: groups.rename(found, name, _name(by), now))


def remove(by: Membership, group: Group, now: datetime) -> None:
    """Remove a group; policies that name it alone are for nobody from then on.

    Raises:
        PolicyDenied: the member's role may not, or somebody else keeps the group.
        UsageError: the group is gone.
    """
    _changing(by, group, lambda found: groups.remove(found, _name(by), now))


def add(by: Membership, group: Group, email: str, now: datetime) -> None:
    """Put the member with that address into a group; nothing is written when they are in it.

    Raises:
        PolicyDenied: the member's role may not, or somebody else keeps the group.
        UsageError: nobody with that address belongs to the organization, or the group is gone.
    """
    there = Membership.objects.filter(organization=by.organization, deactivated_at=None)
    found = there.filter(person__email=email.strip().lower()).first()
    if found is None:
        raise UsageError(
            "Nobody with that e-mail address is a member.",
            hint="Check the spelling, or invite them first.",
            field="email",
        )
    _changing(by, group, lambda kept: groups.put_in(kept, found, _name(by), now))


def take_out(by: Membership, group: Group, member: Membership, now: datetime) -> None:
    """Take somebody out of a group; nothing is written when they are not in it.

    Raises:
        PolicyDenied: the member's role may not, or somebody else keeps the group.
        UsageError: the group is gone.
    """
    _changing(by, group, lambda found: groups.take_out(found, member, _name(by), now))


def _changing(by: Membership, group: Group, change: Callable[[Group], T]) -> T:
    """Do ``change`` with the group as it is now, while nobody else changes who belongs where in the organization."""
    members.require(by)
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=by.organization_id)
        found = find(by, group.wire_id)
        if found is None:
            raise UsageError("The group is gone: somebody removed it.", hint="Look at the list again.")
        if found.source in KEPT_BY:
            who, instead = KEPT_BY[found.source]
            raise PolicyDenied(f"The group {found} is kept by {who}.", hint=instead)
        return change(found)


def _name(by: Membership) -> str:
    return ids.dump("person", by.person_id)
