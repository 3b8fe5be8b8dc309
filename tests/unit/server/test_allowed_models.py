"""The snapshot of allowed models is what the policies say, after every change, and shares what is the same."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from keystead.server.allowed_models import AllowedModels, PolicyTruth, policy_truth
from keystead.server.changes import CHANGES, Change, Changes
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.managed_settings import Match, MemberFacts, Policy
from keystead.server.policy.model_access import Unreadable
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Group, Membership

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MODELS = ("claude-haiku-4-5", "claude-opus-4-6", "claude-sonnet-4-5")
DEVELOPERS = MemberFacts(frozenset({"grp_dev"}), "example.com")


def caller(member_id: str | None, organization_id: str = "org_1", key: str = "key_1") -> Principal:
    return Principal(PrincipalKind.API_KEY, key, organization_id, "wrk_1", member_id)


def of(member: "Membership | None", organization: Any = None) -> Principal:
    organization_id = ids.dump("organization", organization.pk if member is None else member.organization_id)
    return caller(None if member is None else ids.dump("membership", member.pk), organization_id)


def names(snapshot: AllowedModels, principal: Principal) -> list[str]:
    access = snapshot.of(principal)
    return [name.split("-")[1] for name in MODELS if access is None or access.allows(name)]


def policy(number: int, models: Any, match: Match = Match()) -> Policy:  # noqa: B008  it is frozen
    return Policy(f"pol_{number}", f"Policy {number}", match, {} if models is ... else {"availableModels": models})


def truth(*policies: Policy, members: int = 1) -> PolicyTruth:
    return PolicyTruth(
        organizations=lambda: {"org_1": policies},
        members=lambda _, __: ((f"mem_{number}", DEVELOPERS) for number in range(members)),
        member=lambda _: ("org_1", DEVELOPERS),
    )


FOR_DEVELOPERS = Match(frozenset({"grp_dev"}))


def test_lists_are_shared_and_who_has_the_base_takes_no_memory() -> None:
    same = policy(2, ["opus"], FOR_DEVELOPERS)
    with closing(AllowedModels(truth(policy(1, ["haiku"]), same, members=1000), Changes())) as snapshot:
        lists = {id(snapshot.of(caller(f"mem_{number}", key=f"key_{number}"))) for number in range(1000)}
        assert len(lists) == 1
        assert names(snapshot, caller("mem_0")) == ["opus"]
        assert names(snapshot, caller("mem_elsewhere")) == names(snapshot, caller(None)) == ["haiku"]
        assert names(snapshot, caller("mem_9999", "org_2")) == ["haiku", "opus", "sonnet"]
    asked: list[str] = []
    base = policy(1, ["opus"])
    plain = truth(base, same)
    counting = PolicyTruth(plain.organizations, lambda name, _: asked.append(name) or (), plain.member)  # type: ignore[func-returns-value]
    with closing(AllowedModels(counting, Changes())) as snapshot:
        assert snapshot.of(caller("mem_0")) is snapshot.of(caller(None))
        assert asked == [], "no member is read where all are given the same"


@pytest.mark.parametrize(("models", "asked"), [(["haiku"], 0), (["opus"], 1)])
def test_who_joins_is_looked_up_only_where_it_matters(models: list[str], asked: int) -> None:
    looked_up: list[str] = []
    plain = truth(policy(1, ["haiku"]), policy(2, models, FOR_DEVELOPERS), members=0)

    def member(member_id: str) -> tuple[str, MemberFacts]:
        looked_up.append(member_id)
        return "org_1", DEVELOPERS

    changes = Changes()
    with closing(AllowedModels(PolicyTruth(plain.organizations, plain.members, member), changes)) as snapshot:
        changes.publish(Change("member_address", "mem_7"))
        assert len(looked_up) == asked
        assert names(snapshot, caller("mem_7")) == models


@pytest.mark.parametrize("unreadable", [None, "opus", [1], {}])
def test_a_policy_that_cannot_be_read_allows_nothing_to_those_it_is_for(unreadable: Any) -> None:
    policies = policy(1, ["haiku"]), policy(2, unreadable, FOR_DEVELOPERS)
    with closing(AllowedModels(truth(*policies), Changes())) as snapshot:
        with pytest.raises(Unreadable):
            snapshot.of(caller("mem_0"))
        assert names(snapshot, caller("mem_other")) == ["haiku"]
    broken = Policy("pol_1", "Broken", Match(), [])  # type: ignore[arg-type]
    with closing(AllowedModels(truth(broken, policy(2, ["opus"], FOR_DEVELOPERS)), Changes())) as snapshot:
        for somebody in (caller(None), caller("mem_0")):
            with pytest.raises(Unreadable):
                snapshot.of(somebody)


@pytest.mark.parametrize("change", ["policy", "group", "member", "member_address"])
def test_trouble_after_the_start_leaves_what_was_read_last(change: Any) -> None:
    trouble: list[Exception] = []
    plain = truth(policy(1, ["haiku"]), policy(2, ["opus"], FOR_DEVELOPERS))

    def checked(answer: Any) -> Any:
        if trouble:
            raise trouble[0]
        return answer

    shaky = PolicyTruth(
        lambda: checked(plain.organizations()),
        lambda name, policies: checked(plain.members(name, policies)),
        lambda name: checked(plain.member(name)),
    )
    changes = Changes()
    with closing(AllowedModels(shaky, changes)) as snapshot:
        trouble.append(OSError("no database"))
        changes.publish(Change(change, {"group": "grp_dev", "policy": "pol_1"}.get(change, "mem_0")))
        assert names(snapshot, caller("mem_0")) == ["opus"]
        with pytest.raises(OSError, match="no database"):
            snapshot.refresh()
        assert names(snapshot, caller(None)) == ["haiku"]


@pytest.fixture
def snapshot(administrator: "Membership") -> Iterator[AllowedModels]:
    """The snapshot over the test's database, hearing what the process hears."""
    with closing(AllowedModels(policy_truth(), CHANGES)) as one:
        yield one


def join(administrator: "Membership", address: str) -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user(address, None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


def group_of(administrator: "Membership", *members: "Membership") -> "Group":
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    made = groups.create(administrator.organization, "Platform", source=GroupSource.CONSOLE, actor="per_1", now=NOW)
    groups.set_members(made, members, "per_1", NOW)
    return made


def write(administrator: "Membership", name: str, settings: str, **more: Any) -> Any:
    from keystead.server.policies import operations

    return operations.create(administrator, operations.Draft(name, settings, **more), NOW)


def test_each_change_of_a_policy_counts_at_once(administrator: "Membership", snapshot: AllowedModels) -> None:
    from keystead.server.policies import operations

    account = of(None, administrator.organization)
    assert names(snapshot, account) == names(snapshot, of(administrator)) == ["haiku", "opus", "sonnet"]
    base = write(administrator, "Base", '{"availableModels": ["haiku"]}')
    assert names(snapshot, account) == names(snapshot, of(administrator)) == ["haiku"]
    first = write(administrator, "Example", '{"availableModels": ["opus"]}', email_domain="example.com")
    second = write(administrator, "Again", '{"availableModels": ["sonnet"]}', email_domain="example.com")
    assert names(snapshot, of(administrator)) == ["opus"]
    operations.move(administrator, second, True, NOW)
    assert names(snapshot, of(administrator)) == ["sonnet"]
    operations.update(administrator, second, operations.Draft("Again", "{}", (), "example.com"), 1, NOW)
    assert names(snapshot, of(administrator)) == ["haiku"], "who says nothing of models is given the base's"
    operations.remove(administrator, second, NOW)
    assert names(snapshot, of(administrator)) == ["opus"]
    operations.remove(administrator, first, NOW)
    operations.update(administrator, base, operations.Draft("Base", '{"availableModels": []}'), 1, NOW)
    assert names(snapshot, account) == names(snapshot, of(administrator)) == []


def test_who_joins_or_leaves_a_group_is_judged_anew(administrator: "Membership", snapshot: AllowedModels) -> None:
    from keystead.server.organizations import groups

    developer = join(administrator, "bo@example.com")
    platform = group_of(administrator)
    write(administrator, "Base", '{"availableModels": ["haiku"]}')
    write(administrator, "Platform", '{"availableModels": ["opus"]}', groups=(platform,))
    assert names(snapshot, of(developer)) == ["haiku"]
    groups.set_members(platform, [developer], "per_1", NOW)
    assert names(snapshot, of(developer)) == ["opus"]
    assert names(snapshot, of(administrator)) == ["haiku"]
    groups.set_members(platform, [], "per_1", NOW)
    assert names(snapshot, of(developer)) == ["haiku"]


def test_a_policy_whose_groups_are_gone_is_nobodys(administrator: "Membership", snapshot: AllowedModels) -> None:
    from keystead.server.organizations import groups

    platform = group_of(administrator, administrator)
    write(administrator, "Platform", '{"availableModels": ["opus"]}', groups=(platform,))
    write(administrator, "Base", '{"availableModels": ["haiku"]}')
    assert names(snapshot, of(administrator)) == ["opus"]
    groups.remove(platform, "per_1", NOW)
    assert names(snapshot, of(administrator)) == ["haiku"]
    assert names(snapshot, of(None, administrator.organization)) == ["haiku"]


def test_who_joins_by_an_address_or_changes_it_is_judged_at_once(
    administrator: "Membership", snapshot: AllowedModels
) -> None:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import memberships, operations

    write(administrator, "Base", '{"availableModels": ["haiku", "opus"]}')
    write(administrator, "Partners", '{"availableModels": ["haiku"]}', email_domain="partner.example")
    partner = join(administrator, "pat@Partner.example")
    assert names(snapshot, of(partner)) == ["haiku"]
    Person.objects.filter(pk=partner.person_id).update(email="pat@example.com")
    operations.tell_address(partner)
    assert names(snapshot, of(partner)) == ["haiku", "opus"]
    Person.objects.filter(pk=partner.person_id).update(email="pat@notpartner.example")
    snapshot.refresh()
    assert names(snapshot, of(partner)) == ["haiku", "opus"]
    Person.objects.filter(pk=partner.person_id).update(email="pat@partner.example")
    memberships.deactivate(partner, "per_1", "left", NOW)
    snapshot.refresh()
    memberships.reactivate(partner, "per_1", NOW)
    assert names(snapshot, of(partner)) == ["haiku"]


def test_what_the_snapshot_says_is_what_is_delivered(administrator: "Membership", snapshot: AllowedModels) -> None:
    from keystead.server.policies import operations
    from keystead.server.policy.managed_settings import models
    from keystead.server.policy.model_access import access_to

    people = [administrator, *(join(administrator, f"p{number}@{domain}") for number, domain in enumerate(DOMAINS))]
    platform = group_of(administrator, *people[::2])
    write(administrator, "Base", '{"availableModels": ["sonnet"]}')
    write(administrator, "Both", '{"availableModels": ["haiku"]}', groups=(platform,), email_domain="example.com")
    write(administrator, "Platform", '{"availableModels": ["opus"]}', groups=(platform,))
    write(administrator, "Domain", '{"availableModels": ["haiku", "opus"]}', email_domain="other.example")
    seen = set()
    for member in people:
        delivered = operations.delivery_to(member)
        assert delivered is not None
        rules = models(delivered.settings)
        assert rules is not None
        wanted = [name.split("-")[1] for name in MODELS if access_to(rules).allows(name)]
        assert names(snapshot, of(member)) == wanted
        seen.add(tuple(wanted))
    assert len(seen) == 4, "every policy is somebody's"


DOMAINS = ("example.com", "other.example", "other.example", "sub.example.com", "third.example", "example.com")
