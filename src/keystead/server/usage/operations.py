"""Reports over the ledger."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Final
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate, TruncHour

from keystead.server.keys.models import ApiKey, ServiceAccount
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization, Workspace
from keystead.server.organizations.roles import Permission
from keystead.server.usage.models import UsageEntry
from keystead.wire import ids

TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
"""The counts of a usage record, in the order of :class:`Tally`."""

SIGNED_IN: Final = "Signed-in sessions"
"""What requests with an access token, rather than a key, are listed as."""

_SUMS: Final = {name: Sum(name) for name in (*TOKENS, "cost_micro")}
SESSIONS: Final = 50
"""Agent sessions that a report names at most, the most expensive ones."""

_COUNTS: Final = {
    "estimates": Count("id", Q(cost_is_estimate=True)),
    "unpriced": Count("id", Q(cost_micro=None)),
    "all_covered_micro": Sum("covered_micro"),
    "beyond": Count("id", Q(covered_micro__lt=F("cost_micro"))),
}
MEASURES: Final = {"requests": Count("id")} | {f"all_{name}": of for name, of in _SUMS.items()} | _COUNTS
"""What is asked of the database for a :class:`Tally`, in its order."""


class Period(StrEnum):
    """How far back a report goes; days, weeks (from Monday) and months begin at midnight UTC."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def begin(self, now: datetime) -> datetime:
        """Return when the period that ``now`` falls into began."""
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self is Period.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Period.MONTH else day


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests, tokens and cost of one line in a report; ``label`` says of what.

    Attributes:
        cost_micro: in micro-units of the currency, whoever pays for it.
        estimates: how many requests' cost is an estimate.
        unpriced: how many requests are older than prices and have none.
        covered_micro: the part of the cost that flat rates cover.
        beyond: how many requests went beyond an allowance, wholly or in part.
    """

    label: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_micro: int = 0
    estimates: int = 0
    unpriced: int = 0
    covered_micro: int = 0
    beyond: int = 0

    @property
    def billed_micro(self) -> int:
        """The part of the cost that is billed."""
        return self.cost_micro - self.covered_micro

    @property
    def tokens(self) -> int:
        """All tokens, of whatever sort."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


_numbers: Final = attrgetter(*(field.name for field in fields(Tally)[1:]))


@dataclass(frozen=True, slots=True)
class Report:
    """What was used from ``begin`` to the end of the day ``end`` (UTC).

    Attributes:
        whole_organization: False when it covers only the member who asked.
        total: of everything below; each of the first four lists adds up to it, the largest line first.
        by_session: those of agent sessions that cost most, at most :data:`SESSIONS`; requests without one are in none.
        sessions: how many agent sessions there are.
        by_time: one for each hour of a day, or each day of a week or month, in their order and with those of nothing.
    """

    period: Period
    begin: datetime
    end: datetime
    whole_organization: bool
    total: Tally
    by_model: tuple[Tally, ...]
    by_key: tuple[Tally, ...]
    by_member: tuple[Tally, ...]
    by_workspace: tuple[Tally, ...]
    by_session: tuple[Tally, ...]
    sessions: int
    by_time: tuple[Tally, ...]


def usage_of(member: Membership, now: datetime, period: Period = Period.DAY, whose: Membership | None = None) -> Report:
    """Return what was used in ``period``: by the organization if ``member`` may read that, else by themselves.

    Args:
        member: who asks.
        now: where the period ends.
        period: how far back.
        whose: of one other member only, for who may read the organization's.
    """
    everyone = organizations.may(member, Permission.USAGE_READ_ALL) and whose is None
    entries = entries_for(member, now, period, whose)
    return _report(member.organization_id, entries, (period, now), everyone=everyone)


def usage_of_organization(organization: Organization, now: datetime, period: Period = Period.DAY) -> Report:
    """Return what the organization used in ``period``, for whoever runs the server."""
    return _report(organization.id, _entries(organization.id, now, period), (period, now), everyone=True)


def entries_for(
    member: Membership, now: datetime, period: Period, whose: Membership | None = None
) -> QuerySet[UsageEntry]:
    """Return the rows of ``period`` that ``member`` may read, as :func:`usage_of` does."""
    entries = _entries(member.organization_id, now, period)
    if not organizations.may(member, Permission.USAGE_READ_ALL):
        return entries.filter(member=member)
    return entries if whose is None else entries.filter(member=whose)


def _entries(organization: UUID, now: datetime, period: Period) -> QuerySet[UsageEntry]:
    end = Period.DAY.begin(now) + timedelta(days=1)
    return UsageEntry.objects.filter(
        organization=organization, started_at__gte=period.begin(now), started_at__lt=end
    ).order_by()


def _report(
    organization: UUID, entries: QuerySet[UsageEntry], when: tuple[Period, datetime], *, everyone: bool
) -> Report:
    period, now = when
    by_model = _tallies(entries, "model")
    return Report(
        period=period,
        begin=period.begin(now),
        end=Period.DAY.begin(now),
        whole_organization=everyone,
        total=_add("Total", by_model),
        by_model=by_model,
        by_key=_named(_tallies(entries, "principal_id"), _key_names(organization)),
        by_member=_by_owner(entries, organization),
        by_workspace=_named(_tallies(entries, "workspace_id"), _workspace_names(organization)),
        by_session=_by_session(entries, organization if everyone else None),
        sessions=_in_sessions(entries).aggregate(count=Count("session_id", distinct=True))["count"],
        by_time=_by_time(entries, period, now),
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What people call the identifiers in the rows of one organization."""

    keys: Mapping[str, str]
    owners: Mapping[str, str]
    workspaces: Mapping[str, str]

    @classmethod
    def of(cls, organization: UUID) -> "Names":
        """Read them."""
        owners = _member_names(organization) | _service_account_names(organization)
        return cls(_key_names(organization), owners, _workspace_names(organization))

    def key(self, principal_id: str) -> str:
        """Return the name of a key; sign-ins have none and are called :data:`SIGNED_IN`."""
        return key_label(principal_id, self.keys)


def key_label(principal_id: str, names: Mapping[str, str]) -> str:
    """Return how a key, a sign-in or what is unknown is listed."""
    if principal_id.startswith(f"{ids.PREFIXES['grant']}_"):
        return SIGNED_IN
    return names.get(principal_id, principal_id)


def _key_names(organization: UUID) -> dict[str, str]:
    keys = ApiKey.objects.filter(organization=organization).values_list("id", "name", "hint")
    return {ids.dump("api_key", key): f"{name} ({hint}…)" for key, name, hint in keys}


def _member_names(organization: UUID) -> dict[str, str]:
    members = Membership.objects.filter(organization=organization).values_list("id", "person__email")
    return {str(key): email for key, email in members}


def _service_account_names(organization: UUID) -> dict[str, str]:
    accounts = ServiceAccount.objects.filter(organization=organization).values_list("id", "name")
    return {str(key): f"{name} (service account)" for key, name in accounts}


def _by_owner(entries: QuerySet[UsageEntry], organization: UUID) -> tuple[Tally, ...]:
    """Return one tally per person and per service account: behind every request stands one of them."""
    people = _named(_tallies(entries.exclude(member=None), "member_id"), _member_names(organization))
    services = _tallies(entries.exclude(service_account=None), "service_account_id")
    return _sorted((*people, *_named(services, _service_account_names(organization))))


def _in_sessions(entries: QuerySet[UsageEntry]) -> QuerySet[UsageEntry]:
    return entries.exclude(session_id="")


def _by_session(entries: QuerySet[UsageEntry], whose: UUID | None) -> tuple[Tally, ...]:
    """Return the most expensive agent sessions; of an organization each with its owner, since names are the agents'."""
    owners = Names.of(whose).owners if whose else {}
    rows = _in_sessions(entries).values_list("session_id", "member_id", "service_account_id").annotate(**MEASURES)
    found = []
    for session, member, service, *numbers in rows.order_by(F("all_cost_micro").desc(nulls_last=True), "session_id")[
        :SESSIONS
    ]:
        owner = str(member or service)
        label = f"{session} ({owners.get(owner, owner)})" if whose else session
        found.append(Tally(label, *(int(number or 0) for number in numbers)))
    return _sorted(found)


def _by_time(entries: QuerySet[UsageEntry], period: Period, now: datetime) -> tuple[Tally, ...]:
    truncated: TruncHour | TruncDate
    if period is Period.DAY:
        truncated, step, shape = TruncHour("started_at", tzinfo=UTC), timedelta(hours=1), "%H:%M"
    else:
        truncated, step, shape = TruncDate("started_at", tzinfo=UTC), timedelta(days=1), "%Y-%m-%d"
    rows = entries.annotate(moment=truncated).values_list("moment").annotate(**MEASURES)
    found = {f"{moment:{shape}}": [int(number or 0) for number in numbers] for moment, *numbers in rows}
    begin, end = period.begin(now), now.astimezone(UTC)
    labels = [f"{begin + step * number:{shape}}" for number in range((end - begin) // step + 1)]
    return tuple(Tally(label, *found.get(label, ())) for label in labels)


def _workspace_names(organization: UUID) -> dict[str, str]:
    workspaces = Workspace.objects.filter(organization=organization).values_list("id", "name")
    return {str(key): name for key, name in workspaces}


def _tallies(entries: QuerySet[UsageEntry], column: str) -> tuple[Tally, ...]:
    """Return one tally per value of ``column``, labelled with the value."""
    rows = entries.order_by().values_list(column).annotate(**MEASURES)
    return _sorted(Tally(str(label), *(int(number or 0) for number in numbers)) for label, *numbers in rows)


def _named(tallies: Iterable[Tally], names: Mapping[str, str]) -> tuple[Tally, ...]:
    """Replace identifiers by names; sign-ins have none and become one line."""
    groups: dict[str, list[Tally]] = {}
    for tally in tallies:
        groups.setdefault(key_label(tally.label, names), []).append(tally)
    return _sorted(_add(label, group) for label, group in groups.items())


def shortened(tallies: tuple[Tally, ...], most: int) -> tuple[Tally, ...]:
    """Return the first lines, and the others as one: what is shown still adds up."""
    rest = tallies[most:]
    return (*tallies[:most], _add(f"{len(rest):,} others", rest)) if len(rest) > 1 else tallies


def _add(label: str, tallies: Iterable[Tally]) -> Tally:
    lines = [_numbers(tally) for tally in tallies]
    return Tally(label, *(lines[0] if len(lines) == 1 else map(sum, zip(*lines, strict=True))))


def _sorted(tallies: Iterable[Tally]) -> tuple[Tally, ...]:
    return tuple(sorted(tallies, key=lambda tally: (-tally.cost_micro, -tally.tokens, -tally.requests, tally.label)))


def models_used(organization: Organization, since: datetime) -> Iterator[tuple[UUID | None, str]]:
    """Yield each member (None for service accounts) and each model of theirs that an upstream has served since then."""
    rows = UsageEntry.objects.filter(organization=organization, started_at__gte=since, status__lt=400)
    yield from rows.order_by().values_list("member_id", "model").distinct().iterator()
