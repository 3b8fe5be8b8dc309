"""Groups belong to one organization, and to whoever manages them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from keystead.errors import UsageError
from keystead.server.organizations.roles import Role

if TYPE_CHECKING:
    from keystead.server.organizations.models import Group, Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def make(member: "Membership", name: str, source: str = "console") -> "Group":
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    return groups.create(member.organization, name, source=GroupSource(source), actor="per_1", now=NOW)


def names(member: "Membership") -> set[str]:
    return set(member.groups.values_list("name", flat=True))


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb"])
def test_a_name_that_will_not_do_is_refused(administrator: "Membership", name: str) -> None:
    with pytest.raises(UsageError, match="1 to 200 printable"):
        make(administrator, name)


def test_a_name_is_taken_once_in_an_organization(administrator: "Membership") -> None:
    from keystead.server.organizations import groups, operations

    make(administrator, "Platform")
    with pytest.raises(UsageError, match="already a group called Platform"):
        make(administrator, " Platform ")
    other = make(administrator, "Data")
    with pytest.raises(UsageError, match="already a group called Platform"):
        groups.rename(other, "Platform", "per_1", NOW)
    elsewhere = operations.create_organization("Elsewhere", NOW)
    membership = operations.add_member(elsewhere, administrator.person, Role.ADMIN, NOW)
    assert make(membership, "Platform").name == "Platform"


def test_members_are_exactly_those_given_and_of_the_same_organization(administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.organizations import groups, operations

    group = make(administrator, "Platform")
    groups.set_members(group, [administrator], "per_1", NOW)
    groups.set_members(group, [administrator], "per_1", NOW)
    assert names(administrator) == {"Platform"}
    assert AuditEvent.objects.filter(action="group:set_members").count() == 1, "no change, no event"
    elsewhere = operations.add_member(
        operations.create_organization("Elsewhere", NOW), administrator.person, Role.ADMIN, NOW
    )
    with pytest.raises(ValueError, match="own organization"):
        groups.set_members(group, [elsewhere], "per_1", NOW)
    groups.set_members(group, [], "per_1", NOW)
    assert names(administrator) == set()


def test_a_sign_in_changes_only_the_groups_of_its_kind(administrator: "Membership") -> None:
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    console = make(administrator, "Board")
    old, new = make(administrator, "Old", "sso"), make(administrator, "New", "sso")
    groups.set_members(console, [administrator], "per_1", NOW)
    groups.set_groups(administrator, [old], GroupSource.SSO, "system", NOW)
    groups.set_groups(administrator, [new], GroupSource.SSO, "system", NOW)
    assert names(administrator) == {"Board", "New"}


def test_a_removed_group_leaves_its_members(administrator: "Membership") -> None:
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import Membership

    group = make(administrator, "Platform")
    groups.set_members(group, [administrator], "per_1", NOW)
    groups.remove(group, "per_1", NOW)
    assert Membership.objects.filter(pk=administrator.pk).exists()
