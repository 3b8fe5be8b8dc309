"""What the gateway's counters read of limits, of those they are for, and of the ledger."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncHour, TruncMinute

from keystead.server.limits import counted
from keystead.server.limits.counted import Counted, Spent
from keystead.server.limits.models import Limit, StoredUpTo
from keystead.server.limits.sums import Ledger
from keystead.server.organizations.models import GroupMembership
from keystead.server.policy import limits as rules
from keystead.server.policy.limits import Beyond, Measure, Period, Scope
from keystead.server.policy.plans import Plans
from keystead.server.policy.windows import reaches_back_to
from keystead.server.usage.models import UsageEntry
from keystead.wire import ids

KINDS: Final = {
    Scope.ORGANIZATION: "organization",
    Scope.WORKSPACE: "workspace",
    Scope.GROUP: "group",
    Scope.USER: "membership",
    Scope.KEY: "api_key",
}
"""Of what kind the identifier is that each scope names."""
_BUCKETS: Final = {Period.FIVE_HOURS: TruncMinute, Period.SEVEN_DAYS: TruncHour}
_SUMS: Final = {
    Measure.SPEND: Sum(F("cost_micro") - Coalesce("covered_micro", 0)),
    Measure.ALLOWANCE: Sum("covered_micro"),
}
Amounts = list[tuple[float, int]]


def by_organization() -> dict[str, list[rules.Limit]]:
    """Return every limit, by its organization's wire identifier."""
    found: dict[str, list[rules.Limit]] = defaultdict(list)
    for limit in Limit.objects.order_by("id"):
        found[ids.dump("organization", limit.organization_id)].append(rule_of(limit))
    return dict(found)


def plans() -> Plans:
    """Return every allowance, and whom those of groups are for."""
    found: dict[str, list[rules.Limit]] = defaultdict(list)
    for limit in Limit.objects.filter(measure=Measure.ALLOWANCE.value):
        found[ids.dump("organization", limit.organization_id)].append(rule_of(limit))
    return Plans(found, groups_of_members(counted.groups(found)))


def rule_of(limit: Limit) -> rules.Limit:
    """Return a limit as the rules read it."""
    scope = Scope(limit.scope)
    subject = ids.dump(KINDS[scope], limit.subject)
    measure, period = Measure(limit.measure), Period(limit.period)
    return rules.Limit(limit.wire_id, scope, subject, limit.shared, measure, period, limit.amount, Beyond(limit.beyond))


def groups_of_members(groups: frozenset[str]) -> dict[str, frozenset[str]]:
    """Return the members of these groups, each with those they are in."""
    found: dict[str, set[str]] = defaultdict(set)
    if groups:
        wanted = [ids.parse("group", one) for one in groups]
        rows = GroupMembership.objects.filter(group__in=wanted).values_list("membership_id", "group_id")
        for member, group in rows.iterator():
            found[ids.dump("membership", member)].add(ids.dump("group", group))
    return {member: frozenset(each) for member, each in found.items()}


def spent(
    asked: frozenset[Counted],
    now: float,
    begin: float = 0.0,
    end: float | None = None,
    seats: Collection[UUID] | None = None,
) -> Spent:
    """Return what the ledger says was billed and covered, by whom and in which period.

    Args:
        asked: which sums.
        now: Unix seconds at which the periods end.
        begin: only by requests that began then or later,
        end: and before this.
        seats: of what counts for each seat, only that of these members; None for everybody's.
    """
    found: dict[tuple[str, Measure, Period], Amounts] = {}
    for one in asked:
        for whose, amounts in _sums(one, now, (begin, end), seats):
            found[(whose, one.measure, one.period)] = amounts
    return found


def ledger(asked: frozenset[Counted], now: float, borders: tuple[float, ...]) -> Ledger:
    """Read sums as :data:`keystead.server.limits.sums.Read` says, all at one moment."""
    ends = (*borders[1:], None)
    with _one_moment():
        parts = [spent(asked, now, begin, end) for begin, end in zip(borders, ends, strict=True)]
        return Ledger(parts, dict(StoredUpTo.objects.values_list("server", "settlement")))


def store_up_to(server: str, settlement: int, now: datetime) -> None:
    """Write down, in the transaction that stores rows, up to which of a server's settlements the ledger has them."""
    StoredUpTo.objects.bulk_create(
        [StoredUpTo(server=server, settlement=settlement, at=now)],
        update_conflicts=True,
        unique_fields=["server"],
        update_fields=["settlement", "at"],
    )


def forget_servers(before: datetime) -> int:
    """Forget servers that have stored nothing since then; returns how many. One that goes on is written down again."""
    return StoredUpTo.objects.filter(at__lt=before).delete()[0]


@contextmanager
def _one_moment() -> Iterator[None]:
    """Have everything in the block read as of its beginning.

    SQLite needs nothing for it: its one server's own ledger waits meanwhile, and nobody else writes one.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _sums(
    asked: Counted, now: float, between: tuple[float, float | None], seats: Collection[UUID] | None
) -> Iterator[tuple[str, Amounts]]:
    begin, end = between
    since = datetime.fromtimestamp(reaches_back_to(asked.period, now), UTC)
    organization = ids.parse("organization", asked.organization_id)
    first = max(since, datetime.fromtimestamp(begin, UTC))
    rows = UsageEntry.objects.filter(organization=organization, started_at__gte=first, cost_micro__gt=0).order_by()
    if end is not None:
        rows = rows.filter(started_at__lt=datetime.fromtimestamp(end, UTC))
    if asked.measure is Measure.ALLOWANCE:
        rows = rows.filter(covered_micro__gt=0)
    match asked.by:
        case Scope.USER if seats is not None:
            yield from _by(rows.filter(member__in=seats), "member_id", "membership", asked, since)
        case Scope.USER:
            yield from _by(rows.exclude(member=None), "member_id", "membership", asked, since)
            yield from _by(rows.exclude(service_account=None), "service_account_id", "service_account", asked, since)
        case Scope.ORGANIZATION:
            yield asked.subject, _amounts(rows, asked, since)
        case Scope.WORKSPACE:
            yield asked.subject, _amounts(rows.filter(workspace=_subject(asked)), asked, since)
        case Scope.KEY:
            yield asked.subject, _amounts(rows.filter(principal_id=asked.subject), asked, since)
        case Scope.GROUP:
            members = GroupMembership.objects.filter(group=_subject(asked)).values("membership")
            yield asked.subject, _amounts(rows.filter(member__in=members), asked, since)


def _subject(asked: Counted) -> UUID:
    return ids.parse(KINDS[asked.by], asked.subject)


def _by(
    rows: "QuerySet[UsageEntry]", column: str, kind: str, asked: Counted, since: datetime
) -> Iterator[tuple[str, Amounts]]:
    found: dict[str, Amounts] = defaultdict(list)
    for owner, *amount in _summed(rows, asked, (column,)):
        found[ids.dump(kind, owner)].append(_amount(amount, since))
    yield from found.items()


def _amounts(rows: "QuerySet[UsageEntry]", asked: Counted, since: datetime) -> Amounts:
    return [_amount(amount, since) for amount in _summed(rows, asked, ()) if amount[-1] is not None]


def _summed(rows: "QuerySet[UsageEntry]", asked: Counted, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return one row for each value of the columns and, where the period has buckets, for each of these."""
    of_money = _SUMS[asked.measure]
    if asked.period in _BUCKETS:
        rows = rows.annotate(bucket=_BUCKETS[asked.period]("started_at"))
        columns = (*columns, "bucket")
    if not columns:
        return [(rows.aggregate(sum=of_money)["sum"],)]
    return list(rows.values_list(*columns).annotate(sum=of_money))


def _amount(row: Any, since: datetime) -> tuple[float, int]:
    when = row[0] if len(row) == 2 else since
    return when.timestamp(), int(row[-1])
