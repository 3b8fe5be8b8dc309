"""Which limits apply to a caller. Pure: rows in, caps out.

Two kinds of cap add up. A cap *per seat* is one for each person: their own, or else the smallest of their groups', or
else their organization's, or else none. A *shared* cap is one pot for all who draw on it, and all of these must hold:
an organization's, a workspace's, a group's and a key's. Every measure and period is resolved by itself, so that a
monthly cap of somebody's own leaves the daily one of their group as it is.

An *allowance* is what a flat rate covers: so much in a window that reaches back from now, for each person who is signed
in. What it covers is not billed and counts towards no limit of spending; what it does not cover either stops or is
metered, which is to say billed. Keys and service accounts are metered always.

Amounts of money are whole micro-units of the currency here, and whole cents as strings on the wire.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

MICRO_PER_CENT: Final = 10_000


class Scope(StrEnum):
    """Whom a limit is for."""

    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    GROUP = "rbac_group"
    USER = "user"
    KEY = "api_key"


class Measure(StrEnum):
    """What is counted."""

    SPEND = "spend"
    """What is billed: the cost of what no allowance covers."""
    ALLOWANCE = "allowance"
    """What a flat rate covers, at the cost that it would have."""
    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"


class Period(StrEnum):
    """For how long it is counted: a day, week (from Monday) or month of the UTC calendar, or back from now."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    FIVE_HOURS = "five_hours"
    SEVEN_DAYS = "seven_days"
    MINUTE = "minute"
    NOW = "now"


class Beyond(StrEnum):
    """What becomes of requests that a limit has no room for."""

    STOPPED = "stopped"
    METERED = "metered"
    """They go on and are billed; only an allowance can say so."""


PERIODS: Final = {
    Measure.SPEND: (Period.DAILY, Period.WEEKLY, Period.MONTHLY, Period.FIVE_HOURS, Period.SEVEN_DAYS),
    Measure.ALLOWANCE: (Period.FIVE_HOURS, Period.SEVEN_DAYS),
    Measure.REQUESTS: (Period.MINUTE,),
    Measure.TOKENS: (Period.MINUTE,),
    Measure.CONCURRENT: (Period.NOW,),
}
"""Over which periods each measure can be limited."""

SHARED: Final = {
    Scope.ORGANIZATION: (False, True),
    Scope.WORKSPACE: (True,),
    Scope.GROUP: (False, True),
    Scope.USER: (False,),
    Scope.KEY: (True,),
}
"""Whether the limits of a scope are per seat (False) or shared by all who draw on it (True)."""

MONEY: Final = frozenset({Measure.SPEND, Measure.ALLOWANCE})
"""What is counted in micro-units and kept in the ledger."""

SUBJECTS: Final = {
    Scope.USER: "user_id",
    Scope.GROUP: "rbac_group_id",
    Scope.WORKSPACE: "workspace_id",
    Scope.KEY: "api_key_id",
}
"""Where each scope says on the wire what it names."""

ALLOWING: Final = frozenset({Scope.ORGANIZATION, Scope.GROUP, Scope.USER})
"""Whom an allowance can be for: people, each."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One row: at most ``amount`` of a measure in a period.

    Attributes:
        id: ``spl_…``.
        subject: the wire identifier of what the scope names: ``org_…``, ``wrk_…``, ``grp_…``, ``mem_…`` or ``key_…``.
        shared: one pot for all who draw on it, rather than as much for each.
        amount: micro-units of money, or a number; None lifts the limits that would count otherwise.
        beyond: what becomes of requests that it has no room for.
    """

    id: str
    scope: Scope
    subject: str
    shared: bool
    measure: Measure
    period: Period
    amount: int | None
    beyond: Beyond = Beyond.STOPPED


class Caller(NamedTuple):
    """Who asks, as far as limits look.

    Attributes:
        seat: the member or the service account.
        key_id: the API key, or empty for a sign-in.
        groups: those of the member.
        signed_in: a person's sign-in, which alone draws on an allowance.
    """

    organization_id: str
    workspace_id: str
    seat: str
    key_id: str = ""
    groups: frozenset[str] = frozenset()
    signed_in: bool = False


class Cap(NamedTuple):
    """What must hold for a caller.

    Attributes:
        amount: at most this much.
        counted: whose use is counted: the seat, or what the limit's scope names.
        limit: where it comes from.
    """

    amount: int
    counted: str
    limit: Limit


def caps(limits: Iterable[Limit], caller: Caller) -> tuple[Cap, ...]:
    """Return every cap that must hold for a caller, of the limits of their organization."""
    meant = [one for one in limits if _is_meant(one, caller)]
    shared = [Cap(one.amount, one.subject, one) for one in meant if one.shared and one.amount is not None]
    seats: dict[tuple[Measure, Period], list[Limit]] = {}
    for one in meant:
        if not one.shared:
            seats.setdefault((one.measure, one.period), []).append(one)
    own = (effective(each) for each in seats.values())
    return (*(Cap(one.amount, caller.seat, one) for one in own if one is not None and one.amount is not None), *shared)


def effective(limits: Iterable[Limit]) -> Limit | None:
    """Return the one of a caller's limits per seat that counts, all of one measure and period."""
    found = list(limits)
    for scope in (Scope.USER, Scope.GROUP, Scope.ORGANIZATION):
        of_scope = [one for one in found if one.scope is scope]
        if of_scope:
            return min(of_scope, key=lambda one: (one.amount is None, one.amount or 0, one.id))
    return None


def source_of(scope: Scope, subject: str) -> dict[str, str]:
    """Return whom a limit was set for, as programs are told."""
    field = SUBJECTS.get(scope)
    return {"type": scope.value} if field is None else {"type": scope.value, field: subject}


def _is_meant(limit: Limit, caller: Caller) -> bool:
    if limit.measure is Measure.ALLOWANCE and not caller.signed_in:
        return False
    match limit.scope:
        case Scope.ORGANIZATION:
            return limit.subject == caller.organization_id
        case Scope.WORKSPACE:
            return limit.subject == caller.workspace_id
        case Scope.GROUP:
            return limit.subject in caller.groups
        case Scope.USER:
            return limit.subject == caller.seat
        case Scope.KEY:
            return limit.subject == caller.key_id
