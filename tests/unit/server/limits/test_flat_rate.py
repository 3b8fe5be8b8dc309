"""What a flat rate covers: in its windows, for people who are signed in; beyond it requests stop or are billed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.server.limits.test_allowances import ANSWER, ANSWER_HELD, Server, limit, micro, record

from keystead.server.limits.over import Denial
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import Beyond, Limit, Measure, Period, Scope
from keystead.server.usage.record import UsageRecord

SIGNED_IN = Principal(PrincipalKind.SESSION, "gra_1", "org_1", "wrk_1", "mem_1")
WITH_KEY = Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1")


def allowance(amount: int | None, beyond: Beyond, period: Period = Period.FIVE_HOURS) -> Limit:
    return replace(limit(amount, measure=Measure.ALLOWANCE, period=period), id=f"spl_{period}", beyond=beyond)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def start(*limits: Limit) -> Server:
        made.append(Server(limits))
        return made[-1]

    yield start
    for one in made:
        one.allowances.close()


def ask(server: Server, number: int, who: Principal = SIGNED_IN, output: int = 100) -> UsageRecord:
    """Serve a request whole; returns its row."""
    said = server.reserve(number, who=who)
    assert isinstance(said, str), said
    row = server.allowances.settle(record(number, server.clock.now(), output=output))
    server.write([row])
    return row


def counted(server: Server, who: Principal = SIGNED_IN) -> dict[tuple[Measure, Period], int]:
    return {(cap.limit.measure, cap.limit.period): used for cap, used in server.allowances.used(who)}


@pytest.mark.requirement("S-25 allowance")
def test_beyond_a_metered_allowance_requests_go_on_and_only_that_is_billed(serve: Callable[..., Server]) -> None:
    server = serve(allowance(5 * ANSWER // 2, Beyond.METERED), limit(10**9))
    covered = [ask(server, number).covered_micro for number in range(4)]
    assert covered == [ANSWER, ANSWER, ANSWER // 2, 0]
    five_hours, month = (Measure.ALLOWANCE, Period.FIVE_HOURS), (Measure.SPEND, Period.MONTHLY)
    assert counted(server) == {five_hours: 5 * ANSWER // 2, month: 3 * ANSWER // 2}
    server.allowances.refresh()
    assert counted(server) == {five_hours: 5 * ANSWER // 2, month: 3 * ANSWER // 2}
    server.clock.advance(5 * 3600 + 60)
    assert ask(server, 9).covered_micro == ANSWER


@pytest.mark.requirement("S-25 allowance")
def test_beyond_a_stopped_allowance_the_answer_says_when_it_opens_again(serve: Callable[..., Server]) -> None:
    server = serve(allowance(ANSWER_HELD + 10, Beyond.STOPPED))
    assert ask(server, 1).covered_micro == ANSWER
    server.clock.advance(600)
    denial = server.reserve(2, who=SIGNED_IN)
    assert (denial.status, denial.kind, denial.limit_id) == (429, "rate_limit_error", "spl_five_hours")
    assert denial.retry_after == 5 * 3600 + 60 - 600
    assert denial.sentence.startswith("Your allowance for 5 hours of 0.00")
    assert "or wait until 2026-11-26 17:01 UTC" in denial.sentence
    server.clock.advance(denial.retry_after)
    assert server.reserve(2, who=SIGNED_IN) == ""


def test_a_request_that_no_window_could_ever_cover_is_not_told_to_wait(serve: Callable[..., Server]) -> None:
    server = serve(allowance(ANSWER_HELD, Beyond.STOPPED))
    denial = server.reserve(1, max_tokens=32_000, who=SIGNED_IN)
    assert (denial.status, denial.kind, denial.retry_after) == (429, "rate_limit_error", None)
    assert "lower max_tokens. An administrator" in denial.sentence


def test_keys_are_billed_and_draw_on_no_allowance(serve: Callable[..., Server]) -> None:
    server = serve(allowance(10**9, Beyond.METERED), limit(10**9))
    assert ask(server, 1, WITH_KEY).covered_micro is None
    assert ask(server, 2).covered_micro == ANSWER
    assert counted(server, WITH_KEY) == {(Measure.SPEND, Period.MONTHLY): ANSWER}


def test_a_request_is_covered_only_as_far_as_every_window_covers_it(serve: Callable[..., Server]) -> None:
    weekly = allowance(ANSWER // 4, Beyond.METERED, Period.SEVEN_DAYS)
    server = serve(allowance(3 * ANSWER, Beyond.METERED), weekly)
    assert [ask(server, number).covered_micro for number in range(2)] == [ANSWER // 4, 0]
    assert set(counted(server).values()) == {ANSWER // 4}


def test_a_spend_limit_that_is_used_up_stops_only_what_is_billed(
    serve: Callable[..., Server],
) -> None:
    server = serve(allowance(ANSWER_HELD, Beyond.METERED), limit(ANSWER_HELD))
    server.reserve(1, who=WITH_KEY)
    server.write([server.allowances.settle(record(1, server.clock.now(), output=500))])
    assert ask(server, 2).covered_micro == ANSWER
    denial = server.reserve(3, who=SIGNED_IN)
    assert (denial.kind, denial.limit_id) == ("billing_error", "spl_1")


def test_an_allowance_without_an_amount_takes_the_place_of_those_further_away(serve: Callable[..., Server]) -> None:
    everybody = replace(allowance(10**9, Beyond.METERED), scope=Scope.ORGANIZATION, subject="org_1")
    server = serve(everybody, allowance(None, Beyond.STOPPED))
    assert ask(server, 1).covered_micro is None


def test_what_is_nearly_used_up_says_what_comes_after_it(serve: Callable[..., Server]) -> None:
    server = serve(allowance(ANSWER_HELD, Beyond.METERED))
    ask(server, 1)
    said = server.reserve(2, who=SIGNED_IN)
    assert said.startswith("Your allowance for 5 hours of 0.00")
    assert said.endswith("percent, and what goes beyond it is billed (spl_five_hours)")


@pytest.mark.requirement("S-25 allowance")
@given(
    five_hours=st.integers(0, 8 * ANSWER),
    seven_days=st.integers(0, 12 * ANSWER),
    budget=st.integers(0, 8 * ANSWER),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 100), st.sampled_from([0, 900, 7_200])), max_size=40),
)
def test_under_any_order_no_window_covers_more_than_it_has_and_no_limit_bills_more(
    five_hours: int, seven_days: int, budget: int, steps: Sequence[tuple[bool, int, int]]
) -> None:
    limits = (
        allowance(five_hours, Beyond.METERED),
        allowance(seven_days, Beyond.METERED, Period.SEVEN_DAYS),
        limit(budget, period=Period.SEVEN_DAYS),
    )
    server = Server(limits)
    with closing(server.allowances):
        under_way: list[int] = []
        for number, (ends, answered, later) in enumerate(steps):
            server.clock.advance(later)
            if not isinstance(server.reserve(number, who=SIGNED_IN), Denial):
                under_way.append(number)
            if ends and under_way:
                server.write([server.allowances.settle(record(under_way.pop(0), server.clock.now(), output=answered))])
        rows: Any = server.rows
        now = server.clock.now()
        assert all(0 <= row.covered_micro <= micro(row) for row in rows)
        recent = sum(row.covered_micro for row in rows if row.started_at >= now - 18_000)
        assert recent <= five_hours
        assert sum(row.covered_micro for row in rows) <= seven_days
        assert sum(micro(row) - row.covered_micro for row in rows) <= budget
        before = counted(server)
        server.allowances.refresh()
        assert counted(server) == before
