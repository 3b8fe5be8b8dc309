"""Which caps hold for a caller, and counters against a plain list of everything that was ever used."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.policy.limits import PERIODS, SHARED, Caller, Limit, Measure, Period, Scope, caps
from keystead.server.policy.windows import WIDTHS, Counter, bounds, reaches_back_to

CALLER = Caller("org_1", "wrk_1", "mem_1", "key_1", frozenset({"grp_1", "grp_2"}), signed_in=True)
SUBJECTS = {
    Scope.ORGANIZATION: ["org_1"],
    Scope.WORKSPACE: ["wrk_1", "wrk_2"],
    Scope.GROUP: ["grp_1", "grp_2", "grp_3"],
    Scope.USER: ["mem_1", "mem_2"],
    Scope.KEY: ["key_1", "key_2"],
}
MINE = {"org_1", "wrk_1", "mem_1", "key_1", "grp_1", "grp_2"}
NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC).timestamp()  # a Thursday


def limit(
    scope: Scope, amount: int | None, *, subject: str = "", shared: bool = False, period: Period = Period.MONTHLY
) -> Limit:
    subject = subject or SUBJECTS[scope][0]
    return Limit(f"spl_{scope}_{subject}_{amount}", scope, subject, shared, Measure.SPEND, period, amount)


@st.composite
def any_limit(draw: st.DrawFn) -> Limit:
    scope = draw(st.sampled_from(Scope))
    measure = draw(st.sampled_from(Measure))
    return Limit(
        f"spl_{draw(st.integers(0, 10**9))}",
        scope,
        draw(st.sampled_from(SUBJECTS[scope])),
        draw(st.sampled_from(SHARED[scope])),
        measure,
        draw(st.sampled_from(PERIODS[measure])),
        draw(st.none() | st.integers(0, 100)),
    )


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([], []),
        ([limit(Scope.ORGANIZATION, 5)], [5]),
        ([limit(Scope.ORGANIZATION, 5), limit(Scope.GROUP, 9)], [9]),
        ([limit(Scope.GROUP, 9), limit(Scope.GROUP, 7, subject="grp_2")], [7]),
        ([limit(Scope.GROUP, 9), limit(Scope.GROUP, None, subject="grp_2")], [9]),
        ([limit(Scope.GROUP, None), limit(Scope.ORGANIZATION, 5)], []),
        ([limit(Scope.GROUP, 1, subject="grp_3"), limit(Scope.ORGANIZATION, 5)], [5]),
        ([limit(Scope.USER, 80), limit(Scope.GROUP, 9), limit(Scope.ORGANIZATION, 5)], [80]),
        ([limit(Scope.USER, None), limit(Scope.GROUP, 9), limit(Scope.ORGANIZATION, 5)], []),
        ([limit(Scope.USER, None), limit(Scope.ORGANIZATION, 5, shared=True)], [5]),
        ([limit(Scope.USER, 80), limit(Scope.ORGANIZATION, 5, period=Period.DAILY)], [80, 5]),
        ([limit(Scope.USER, 8), limit(Scope.KEY, 3, shared=True), limit(Scope.WORKSPACE, 4, shared=True)], [8, 3, 4]),
    ],
)
def test_the_cap_is_ones_own_else_the_smallest_of_ones_groups_else_the_organizations_and_all_shared_ones(
    limits: list[Limit], expected: list[int]
) -> None:
    assert sorted(cap.amount for cap in caps(limits, CALLER)) == sorted(expected)


@given(st.lists(any_limit(), max_size=12), st.booleans())
def test_every_shared_limit_holds_and_of_the_others_one_for_each_measure_and_period(
    limits: list[Limit], signed_in: bool
) -> None:
    found = caps(limits, CALLER._replace(signed_in=signed_in))
    drawn_on = [one for one in limits if signed_in or one.measure is not Measure.ALLOWANCE]
    mine = [one for one in drawn_on if one.subject in MINE]
    assert [cap.limit for cap in found if cap.limit.shared] == [
        one for one in mine if one.shared and one.amount is not None
    ]
    for measure, periods in PERIODS.items():
        for period in periods:
            seats = [one for one in mine if not one.shared and (one.measure, one.period) == (measure, period)]
            own = [cap for cap in found if not cap.limit.shared and cap.limit in seats]
            nearest = next(
                (scope for scope in (Scope.USER, Scope.GROUP, Scope.ORGANIZATION) if _of(seats, scope)), None
            )
            amounts = [one.amount for one in _of(seats, nearest) if one.amount is not None]
            assert [cap.amount for cap in own] == ([min(amounts)] if amounts else [])
            assert all(cap.counted == "mem_1" for cap in own)


@given(st.lists(any_limit(), max_size=12))
def test_nobody_but_a_person_who_is_signed_in_draws_on_an_allowance(limits: list[Limit]) -> None:
    with_key = caps(limits, CALLER._replace(signed_in=False))
    assert with_key == caps([one for one in limits if one.measure is not Measure.ALLOWANCE], CALLER)


def _of(limits: list[Limit], scope: Scope | None) -> list[Limit]:
    return [one for one in limits if one.scope is scope]


def test_periods_of_the_calendar_begin_and_end_at_midnight_utc() -> None:
    def shown(period: Period) -> list[str]:
        return [f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}" for at in bounds(period, NOON)]

    assert shown(Period.DAILY) == ["11-26 00:00", "11-27 00:00"]
    assert shown(Period.WEEKLY) == ["11-23 00:00", "11-30 00:00"]
    assert shown(Period.MONTHLY) == ["11-01 00:00", "12-01 00:00"]


STEPS = st.lists(st.tuples(st.floats(0, 90_000), st.floats(0, 5_000), st.integers(0, 1_000)), min_size=1, max_size=30)


@pytest.mark.parametrize("period", [one for one in Period if one is not Period.NOW])
@given(steps=STEPS)
def test_a_counter_is_the_sum_of_what_was_used_since_its_period_reaches_back(
    period: Period, steps: list[tuple[float, float, int]]
) -> None:
    now, counter, used = NOON, Counter(period, NOON), list[tuple[float, int]]()
    for passed, lasted, amount in steps:
        now += passed
        counter.add(amount, now - lasted, now)
        used.append((now - lasted, amount))
        since = reaches_back_to(period, now)
        assert counter.look(now) == sum(amount for when, amount in used if when >= since)
    again = Counter(period, now)
    again.reset([one for one in used if one[0] >= reaches_back_to(period, now)], now)
    assert again.look(now) == counter.look(now)


@pytest.mark.parametrize("period", WIDTHS)
@given(steps=STEPS, most=st.integers(0, 3_000))
def test_there_is_room_when_a_counter_says_so_and_not_before(
    period: Period, steps: list[tuple[float, float, int]], most: int
) -> None:
    now, counter = NOON, Counter(period, NOON)
    for passed, _, amount in steps:
        now += passed / 1_000
        counter.add(amount, now, now)
    before, at = counter.used, counter.room_at(most, now)
    assert at is not None
    if before > most:
        assert counter.look(at - 0.5) > most
    assert counter.look(max(at, now)) <= most
