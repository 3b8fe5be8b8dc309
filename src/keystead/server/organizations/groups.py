"""Groups: made in the console, or by an identity provider, which then alone may change them."""

from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, transaction

from keystead.errors import UsageError
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations.models import Group, GroupMembership, GroupSource, Membership, Organization
from keystead.wire import ids

LONGEST_NAME = 200


def create(
    organization: Organization, name: str, *, source: GroupSource, external_id: str = "", actor: str, now: datetime
) -> Group:
    """Store a new group without members.

    Raises:
        UsageError: the name will not do, or another group of the organization has it.
    """
    name = _name(name)
    try:
        with transaction.atomic():
            group = Group.objects.create(
                organization=organization, name=name, source=source.value, external_id=external_id, created_at=now
            )
            _record(group, actor, "group:create", {"name": name, "source": source.value}, now)
    except IntegrityError as error:
        raise _taken(name) from error
    return group


def rename(group: Group, name: str, actor: str, now: datetime) -> None:
    """Give a group another name.

    Raises:
        UsageError: the name will not do, or another group of the organization has it.
    """
    before, name = group.name, _name(name)
    try:
        with transaction.atomic():
            Group.objects.filter(pk=group.pk).update(name=name)
            _record(group, actor, "group:rename", {"from": before, "to": name}, now)
    except IntegrityError as error:
        raise _taken(name) from error
    group.name = name


def remove(group: Group, actor: str, now: datetime) -> None:
    """Remove a group; its members stay what they are otherwise."""
    with transaction.atomic():
        _record(group, actor, "group:remove", {"name": group.name}, now)
        group.delete()


def set_members(group: Group, members: Iterable[Membership], actor: str, now: datetime) -> None:
    """Make ``members`` the group's members, all of them of its organization; nothing is written when they are already.

    Raises:
        ValueError: one belongs to another organization.
    """
    wanted = {member.pk: member for member in members}
    if any(member.organization_id != group.organization_id for member in wanted.values()):
        raise ValueError("a group has members of its own organization only")
    with transaction.atomic():
        Group.objects.select_for_update().filter(pk=group.pk).first()
        present = set(group.members.values_list("pk", flat=True))
        added, removed = wanted.keys() - present, present - wanted.keys()
        if not added and not removed:
            return
        GroupMembership.objects.filter(group=group, membership__in=removed).delete()
        GroupMembership.objects.bulk_create(GroupMembership(group=group, membership_id=one) for one in added)
        _record(group, actor, "group:set_members", {"added": len(added), "removed": len(removed)}, now)


def put_in(group: Group, member: Membership, actor: str, now: datetime) -> bool:
    """Add one member; returns False when they are in the group already.

    Raises:
        ValueError: they belong to another organization.
    """
    if member.organization_id != group.organization_id:
        raise ValueError("a group has members of its own organization only")
    with transaction.atomic():
        _, is_new = GroupMembership.objects.get_or_create(group=group, membership=member)
        if is_new:
            _record(group, actor, "group:add_member", {"member": ids.dump("membership", member.pk)}, now)
    return is_new


def take_out(group: Group, member: Membership, actor: str, now: datetime) -> bool:
    """Remove one member; returns False when they are not in the group."""
    with transaction.atomic():
        gone, _ = GroupMembership.objects.filter(group=group, membership=member).delete()
        if gone:
            _record(group, actor, "group:remove_member", {"member": ids.dump("membership", member.pk)}, now)
    return bool(gone)


def set_groups(membership: Membership, groups: Iterable[Group], source: GroupSource, actor: str, now: datetime) -> None:
    """Put a member into exactly these groups of ``source``; groups that others manage stay as they are.

    This is what a sign-in with group claims does.
    """
    wanted = {group.pk: group for group in groups}
    with transaction.atomic():
        present = {group.pk: group for group in membership.groups.filter(source=source.value)}
        for pk in wanted.keys() ^ present.keys():
            group = wanted.get(pk) or present[pk]
            others = group.members.exclude(pk=membership.pk)
            set_members(group, [*others, membership] if pk in wanted else others, actor, now)


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(
            f"A group needs a name of 1 to {LONGEST_NAME} printable characters.", hint="Name it.", field="name"
        )
    return name


def _taken(name: str) -> UsageError:
    return UsageError(
        f"There is already a group called {name}.", hint="Choose another name, or use that group.", field="name"
    )


def _record(group: Group, actor: str, action: str, details: audit.Details, now: datetime) -> None:
    wire_id = ids.dump("group", group.pk)
    audit.record(organization=group.organization, actor=actor, action=action, target=wire_id, at=now, details=details)
    transaction.on_commit(lambda: CHANGES.publish(Change("group", wire_id)))
