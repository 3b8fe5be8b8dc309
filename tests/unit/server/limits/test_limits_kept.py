"""Setting limits, and the counters over the real ledger for every scope and period."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from uuid_utils.compat import uuid7

from keystead.errors import PolicyDenied, UsageError
from keystead.server.allowances import Allowances, limit_truth
from keystead.server.changes import CHANGES
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import SHARED, Measure, Period, Scope
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.record import UsageRecord, cost_of
from keystead.testing.clock import FakeClock
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.limits.operations import Draft
    from keystead.server.organizations.models import Group, Membership

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)  # a Thursday
CENT = 10_000
KEY = ids.dump("api_key", uuid7())


def draft(scope: Scope = Scope.ORGANIZATION, subject: str = "", amount: int | None = CENT, **more: Any) -> "Draft":
    from keystead.server.limits.operations import Draft

    values: dict[str, Any] = {"measure": Measure.SPEND, "period": Period.MONTHLY} | more
    return Draft(scope, subject, amount=amount, **values)


def use(member: "Membership", at: datetime = NOW, key: str = "gra_1", tokens: int = 1_000) -> int:
    """Write down what ``member`` used; returns what it cost."""
    from keystead.server.organizations import operations
    from keystead.server.usage.ledger import store

    workspace = operations.default_workspace(member.organization)
    values: list[Any] = [uuid7().hex, "req_1", ids.dump("organization", member.organization_id)]
    values += [ids.dump("workspace", workspace.id), ids.dump("membership", member.id), "session", key, "sdk", ""]
    values += ["anthropic", "claude-opus-4-5", 200, at.timestamp(), 5, tokens, 0, 0, 0, False, False, False]
    record = UsageRecord(*values)
    store([record])
    return cost_of(record, SHIPPED).micro


def caller(member: "Membership", key: str = KEY) -> Principal:
    from keystead.server.organizations import operations

    workspace = ids.dump("workspace", operations.default_workspace(member.organization).pk)
    organization, seat = ids.dump("organization", member.organization_id), ids.dump("membership", member.pk)
    return Principal(PrincipalKind.API_KEY, key, organization, workspace, seat)


@pytest.fixture
def developer(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("dev@example.com", None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


@pytest.fixture
def group(administrator: "Membership", developer: "Membership") -> "Group":
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    made = groups.create(administrator.organization, "Makers", source=GroupSource.CONSOLE, actor="mem_1", now=NOW)
    groups.put_in(made, developer, "mem_1", NOW)
    return made


@pytest.fixture
def allowances(administrator: "Membership") -> Iterator[Allowances]:
    one = Allowances(limit_truth(), SHIPPED, FakeClock(NOW.timestamp()), CHANGES)
    yield one
    one.close()


def test_setting_a_limit_again_changes_it_and_both_are_audited(administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.limits import operations

    first = operations.put(administrator, draft(), NOW)
    second = operations.put(administrator, draft(amount=None), NOW + timedelta(hours=1))
    assert (first.pk, second.amount, second.updated_at - second.created_at) == (second.pk, None, timedelta(hours=1))
    assert operations.remove(administrator, second, NOW)
    assert not operations.remove(administrator, second, NOW)
    told = AuditEvent.objects.filter(target=first.wire_id).order_by("id").values_list("action", flat=True)
    assert list(told) == ["limit:create", "limit:update", "limit:remove"]
    changed = AuditEvent.objects.get(action="limit:update")
    assert (changed.details["before"], changed.details["amount"]) == (CENT, None)


@pytest.mark.requirement("G-08 limits")
def test_only_who_may_sets_and_removes_limits(administrator: "Membership", developer: "Membership") -> None:
    from keystead.server.limits import operations

    limit = operations.put(administrator, draft(), NOW)
    with pytest.raises(PolicyDenied, match="set limits"):
        operations.put(developer, draft(), NOW)
    with pytest.raises(PolicyDenied, match="set limits"):
        operations.remove(developer, limit, NOW)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scope": Scope.USER, "subject": "mem_1"}, "no such user: mem_1"),
        ({"scope": Scope.GROUP, "subject": ids.dump("group", uuid7())}, "no such rbac_group"),
        ({"scope": Scope.KEY, "subject": KEY}, "shared: a limit of api_key is always shared"),
        ({"scope": Scope.USER, "shared": True}, "shared: a limit of user is always of one person"),
        ({"shared": True, "amount": None}, "amount: a shared limit has one"),
        ({"period": Period.MINUTE}, "period: spend is limited over: daily"),
        ({"measure": Measure.REQUESTS}, "period: requests is limited over: minute"),
    ],
)
def test_a_limit_that_cannot_be_names_its_field(administrator: "Membership", wrong: dict[str, Any], words: str) -> None:
    from keystead.server.limits import operations

    with pytest.raises(UsageError, match=words):
        operations.put(administrator, draft(**wrong), NOW)


@pytest.mark.requirement("G-03 recount")
@pytest.mark.parametrize("period", [one for one in Period if one not in {Period.MINUTE, Period.NOW}])
def test_counters_are_the_ledgers_sums_for_every_scope(
    developer: "Membership", administrator: "Membership", group: "Group", allowances: Allowances, period: Period
) -> None:
    from keystead.server.limits import operations
    from keystead.server.organizations.operations import default_workspace

    since = {
        Period.DAILY: timedelta(hours=12),
        Period.WEEKLY: timedelta(days=3, hours=12),
        Period.MONTHLY: timedelta(days=25, hours=12),
        Period.FIVE_HOURS: timedelta(hours=4),
        Period.SEVEN_DAYS: timedelta(days=6, hours=23),
    }[period]
    use(developer, NOW - since - timedelta(hours=2))
    mine = use(developer, NOW - since, KEY) + use(developer, NOW, tokens=3_000)
    all_of_it = mine + use(administrator, NOW, tokens=5_000)
    with_key = 5_000  # a thousand tokens of the question
    workspace = ids.dump("workspace", default_workspace(developer.organization).pk)
    for one, subject, shared in [
        (Scope.ORGANIZATION, "", True),
        (Scope.WORKSPACE, workspace, True),
        (Scope.GROUP, group.wire_id, True),
        (Scope.USER, ids.dump("membership", developer.pk), False),
    ]:
        assert shared in SHARED[one]
        operations.put(administrator, draft(one, subject, shared=shared, period=period), NOW)
    key = _key(developer)
    operations.put(administrator, draft(Scope.KEY, KEY, shared=True, period=period), NOW)
    allowances.refresh()
    found = {cap.limit.scope: used for cap, used in allowances.used(caller(developer, key))}
    assert found == {
        Scope.USER: mine,
        Scope.ORGANIZATION: all_of_it,
        Scope.WORKSPACE: all_of_it,
        Scope.GROUP: mine,
        Scope.KEY: with_key,
    }


def _key(member: "Membership") -> str:
    """Store a key of that identifier for the member."""
    from keystead.server.keys.models import ApiKey
    from keystead.server.organizations.operations import default_workspace

    ApiKey.objects.create(
        id=ids.parse("api_key", KEY), organization=member.organization, member=member, name="ci", purpose="any",
        workspace=default_workspace(member.organization), digest=b"1" * 32, hint="ksk_1234", created_at=NOW,
    )  # fmt: skip
    return KEY


def test_who_joins_a_group_is_under_its_limit_at_once(
    administrator: "Membership", developer: "Membership", group: "Group", allowances: Allowances
) -> None:
    from keystead.server.limits import operations
    from keystead.server.organizations import groups

    operations.put(administrator, draft(amount=9 * CENT), NOW)
    operations.put(administrator, draft(Scope.GROUP, group.wire_id), NOW)
    allowances.refresh()

    def amount(member: "Membership") -> list[int]:
        return [cap.amount for cap, _ in allowances.used(caller(member, f"key_of_{member.pk}"))]

    assert (amount(developer), amount(administrator)) == ([CENT], [9 * CENT])
    groups.put_in(group, administrator, "mem_1", NOW)
    assert amount(administrator) == [CENT]


@pytest.mark.parametrize(("text", "micro"), [("0", 0), ("1", CENT), ("50000", 50_000 * CENT)])
def test_cents_are_whole_numbers_in_strings(text: str, micro: int) -> None:
    from keystead.server.limits import operations

    assert operations.cents(text) == micro
    for wrong in ("", "1.5", "-1", "1e3", "٣", "9" * 14):
        with pytest.raises(UsageError, match="amount is not a whole number of cents"):
            operations.cents(wrong)


@pytest.mark.parametrize(("text", "cents"), [("12", 1200), ("12.5", 1250), ("0.05", 5), (" 7 ", 700)])
def test_amounts_are_read_as_people_write_them(text: str, cents: int) -> None:
    from keystead.server.limits import operations

    assert operations.money(text) == cents * CENT
    for wrong in ("", "1,5", "1.234", "-1", "x"):
        with pytest.raises(UsageError, match="amount"):
            operations.money(wrong)


@pytest.mark.requirement("G-03 recount")
def test_costs_that_are_computed_again_count_at_the_next_look(
    administrator: "Membership", allowances: Allowances
) -> None:
    """Also those of requests that began so long ago that they are not read every time."""
    from keystead.server.limits import operations
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.repricing import reprice

    cost = use(administrator, NOW - timedelta(hours=2))
    UsageEntry.objects.update(cost_micro=1)  # as by a price that was wrong
    operations.put(administrator, draft(), NOW)

    def used() -> list[int]:
        allowances.refresh()
        return [amount for _, amount in allowances.used(caller(administrator))]

    assert used() == [1]
    since, until = NOW - timedelta(days=1), NOW + timedelta(hours=1)
    reprice(since, until, SHIPPED, dry_run=True)
    assert used() == [1]
    assert reprice(since, until, SHIPPED, dry_run=False).changed == 1
    assert used() == [cost]
