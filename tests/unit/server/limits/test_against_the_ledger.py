"""Counters against the plainest model there is: every row of the ledger, looked at again for every cap.

Requests begin, end and are stored in any order while limits come and go, members move between groups and the clock is
set, forward and back. Whatever happened, what is used of a cap is what the rows of its window cost.
"""

import math
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.server.allowances import Allowances, LimitTruth
from keystead.server.changes import Change, Changes
from keystead.server.limits.counted import Counted, Spent
from keystead.server.limits.sums import Ledger
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import Cap, Limit, Measure, Period, Scope
from keystead.server.policy.windows import WIDTHS, bounds
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.record import UsageRecord, cost_of
from keystead.testing.clock import FakeClock

NOW: Final = 1_798_761_540.0  # 2026-12-31 23:59 UTC: a day, a month and a year are about to end
PLENTY: Final = 10**14
GROUPS: Final = ("grp_1", "grp_2")
CALLERS: Final = [
    Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1"),
    Principal(PrincipalKind.API_KEY, "key_2", "org_1", "wrk_2", "mem_1"),
    Principal(PrincipalKind.API_KEY, "key_3", "org_1", "wrk_1", "mem_2"),
    Principal(PrincipalKind.API_KEY, "key_4", "org_1", "wrk_2", None, service_account_id="svac_1"),
]
SCOPES: Final = [
    (Scope.ORGANIZATION, "org_1", False),
    (Scope.ORGANIZATION, "org_1", True),
    (Scope.WORKSPACE, "wrk_1", True),
    (Scope.GROUP, "grp_1", True),
    (Scope.GROUP, "grp_2", False),
    (Scope.GROUP, "grp_2", True),
    (Scope.USER, "mem_1", False),
    (Scope.KEY, "key_2", True),
]
KINDS: Final = [
    *((Measure.SPEND, period) for period in (Period.DAILY, Period.MONTHLY, Period.FIVE_HOURS, Period.SEVEN_DAYS)),
    (Measure.CONCURRENT, Period.NOW),
]
STEPS: Final = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from(CALLERS)),
    st.tuples(st.just("settle"), st.integers(0, 9)),
    st.tuples(st.sampled_from(["store", "refresh"]), st.none()),
    st.tuples(st.just("move"), st.tuples(st.sampled_from(["mem_1", "mem_2"]), st.sets(st.sampled_from(GROUPS)))),
    st.tuples(st.just("limit"), st.tuples(st.sampled_from(SCOPES), st.sampled_from(KINDS))),
    st.tuples(st.just("clock"), st.sampled_from([-90_000, -7_200, -61, 1, 59, 61, 3_601, 18_001, 86_400, 604_800])),
)


class World:
    """The truth, the counters over it, and the requests that are under way."""

    def __init__(self) -> None:
        rate = Limit("spl_1", Scope.ORGANIZATION, "org_1", True, Measure.CONCURRENT, Period.NOW, PLENTY)
        self.limits: dict[Any, Limit] = {"always": rate}  # without any, nothing is noted until the ledger is counted
        self.groups: dict[str, frozenset[str]] = {}
        self.stored: list[UsageRecord] = []
        self.waiting: list[UsageRecord] = []
        self.open: list[tuple[int, float, Principal]] = []
        self.began = 0
        self.clock, self.changes = FakeClock(NOW), Changes()
        truth = LimitTruth(lambda: {"org_1": [*self.limits.values()]}, lambda _: self.groups, self._ledger)
        self.allowances = Allowances(truth, SHIPPED, self.clock, self.changes)
        self.write = self.allowances.storing(lambda batch, _: self.stored.extend(batch))

    def _ledger(self, asked: frozenset[Counted], now: float, borders: tuple[float, ...]) -> Ledger:
        ends = (*borders[1:], math.inf)
        return Ledger([self._part(asked, now, *part) for part in zip(borders, ends, strict=True)], {})

    def _part(self, asked: frozenset[Counted], now: float, begin: float, end: float) -> Spent:
        found: dict[Any, list[tuple[float, int]]] = {}
        for one in asked:
            since = max(begin, since_when(one.period, now))
            for row in self.stored:
                if since <= row.started_at < end:
                    for whose in self._counted(one, row):
                        found.setdefault((whose, one.measure, one.period), []).append((row.started_at, micro(row)))
        return found

    def _counted(self, asked: Counted, row: UsageRecord) -> Sequence[str]:
        if asked.by is Scope.USER:
            return [row.member_id or row.service_account_id]
        return [asked.subject] if self.draws(row, asked.by, asked.subject) else []

    def draws(self, row: UsageRecord, scope: Scope, subject: str) -> bool:
        """Return whether a row draws on what is shared by all of a scope, or on the seat of somebody."""
        return {
            Scope.ORGANIZATION: subject == row.organization_id,
            Scope.WORKSPACE: subject == row.workspace_id,
            Scope.KEY: subject == row.principal_id,
            Scope.GROUP: subject in self.groups.get(row.member_id, frozenset()),
            Scope.USER: subject == (row.member_id or row.service_account_id),
        }[scope]

    def do(self, step: str, what: Any) -> None:
        now = self.clock.now()
        match step:
            case "reserve":
                self.began += 1
                seller = "anthropic", "anthropic"
                said = self.allowances.reserve(what, f"{self.began:032x}", "claude-opus-4-5", (0, 10), seller, now)
                assert isinstance(said, str)
                self.open.append((self.began, now, what))
            case "settle" if self.open:
                number, at, who = self.open.pop(what % len(self.open))
                self.waiting.append(self.allowances.settle(record(number, at, who)))
            case "store":
                self.write(self.waiting)
                self.waiting = []
            case "refresh":
                self.allowances.refresh()
            case "move":
                self.groups = {**self.groups, what[0]: frozenset(what[1])}
                self.changes.publish(Change("group", "grp_1"))
            case "limit":
                (scope, subject, shared), (measure, period) = what
                if self.limits.pop(what, None) is None:
                    self.limits[what] = Limit(f"spl_{what}", scope, subject, shared, measure, period, PLENTY)
                self.changes.publish(Change("limit", "spl_1"))
            case "clock":
                self.clock.advance(what)

    def expected(self, cap: Cap) -> int:
        now, limit = self.clock.now(), cap.limit
        if limit.measure is Measure.CONCURRENT:
            return 0
        scope = limit.scope if limit.shared else Scope.USER
        rows = [row for row in (*self.stored, *self.waiting) if self.draws(row, scope, cap.counted)]
        return sum(micro(row) for row in rows if row.started_at >= since_when(limit.period, now))


def since_when(period: Period, now: float) -> float:
    if period not in WIDTHS:
        return bounds(period, now)[0]
    length, width = WIDTHS[period]
    return (now - length) // width * width


def micro(row: UsageRecord) -> int:
    return cost_of(row, SHIPPED).micro


def record(number: int, at: float, who: Principal) -> UsageRecord:
    names = who.workspace_id, who.member_id or "", "api_key", who.id
    whose: list[Any] = [f"{number:032x}", "req_1", "org_1", *names, "", ""]
    used: list[Any] = ["anthropic", "claude-opus-4-5", 200, at, 5, 0, 2**number % 1009, 0, 0, False, False, False]
    return UsageRecord(*whose, *used)._replace(service_account_id=who.service_account_id or "")


@pytest.mark.requirement("G-03 recount")
@settings(max_examples=300)
@given(st.lists(STEPS, max_size=40))
def test_what_is_used_is_what_the_rows_of_the_window_cost(steps: list[tuple[str, Any]]) -> None:
    world = World()
    with closing(world.allowances):
        for step, what in steps:
            world.do(step, what)
        while world.open:
            world.do("settle", 0)
        for counted_anew in (False, True):
            if counted_anew:
                world.allowances.refresh()
            elif any(step == "clock" and what < 0 for step, what in steps):
                continue  # what was forgotten comes back with the next count, seconds later
            for caller in CALLERS:
                for cap, used in world.allowances.used(caller):
                    assert used == world.expected(cap), (cap, caller)
