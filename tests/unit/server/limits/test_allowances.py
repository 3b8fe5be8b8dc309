"""Reserving and settling: nothing is counted twice, and no more is overspent than the documented bound."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.allowances import UNSAID, Allowances, LimitTruth
from keystead.server.changes import Change, Changes
from keystead.server.limits.counted import Counted, Spent
from keystead.server.limits.over import Denial
from keystead.server.limits.sums import LATE, OVERLAP, WHOLE, Ledger
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import Limit, Measure, Period, Scope
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.record import UsageRecord, cost_of
from keystead.testing.clock import FakeClock

NOW = 1_795_694_400.0  # 2026-11-26 12:00 UTC
MODEL = "claude-opus-4-5"
SELLER = ("anthropic", "anthropic")
CENT = 10_000


def principal(name: str = "key_1", member: str = "mem_1") -> Principal:
    return Principal(PrincipalKind.API_KEY, name, "org_1", "wrk_1", member)


def limit(
    amount: int | None, scope: Scope = Scope.USER, subject: str = "mem_1", measure: Measure = Measure.SPEND,
    period: Period = Period.MONTHLY, *, shared: bool = False,
) -> Limit:  # fmt: skip
    return Limit("spl_1", scope, subject, shared, measure, period, amount)


def body(max_tokens: int | None = 100, text: str = "") -> bytes:
    document: dict[str, Any] = {"model": MODEL, "messages": text}
    return json.dumps(document if max_tokens is None else document | {"max_tokens": max_tokens}).encode()


def record(number: int, at: float = NOW, output: int = 100, asked: int = 0) -> UsageRecord:
    who: list[Any] = [f"{number:032x}", "req_1", "org_1", "wrk_1", "mem_1", "api_key", "key_1", "", ""]
    what: list[Any] = ["anthropic", MODEL, 200, at, 5, asked, output, 0, 0, False, False, False]
    return UsageRecord(*who, *what)


class Server:
    """Limits and a ledger in memory, and the allowances over them."""

    def __init__(self, limits: Sequence[Limit], *, closed: bool = False, changes: Changes | None = None) -> None:
        self.limits, self.rows, self.groups = list(limits), list[UsageRecord](), dict[str, frozenset[str]]()
        self.clock, self.changes = FakeClock(NOW), changes or Changes()
        self.read: list[tuple[float, ...]] = []
        self.repriced = 0
        truth = LimitTruth(self._limits, lambda _: self.groups, self._ledger, lambda: self.repriced)
        self.allowances = Allowances(truth, SHIPPED, self.clock, self.changes, closed=closed)
        self.write = self.allowances.storing(lambda batch, _: self.rows.extend(batch))

    def _limits(self) -> dict[str, list[Limit]]:
        return {"org_1": self.limits} if self.limits else {}

    def _ledger(self, asked: frozenset[Counted], _: float, borders: tuple[float, ...]) -> Ledger:
        self.read.append(borders)
        ends = [*borders[1:], math.inf]
        return Ledger([self._spent(asked, *part) for part in zip(borders, ends, strict=True)], {})

    def _spent(self, asked: frozenset[Counted], begin: float, end: float) -> Spent:
        keys = {one: ("mem_1", one.measure, one.period) for one in asked}
        rows = [row for row in self.rows if begin <= row.started_at < end]
        return {key: [(row.started_at, amount(row, one)) for row in rows] for one, key in keys.items() if rows}

    def reserve(self, number: int, max_tokens: int | None = 100, who: Principal | None = None, text: str = "") -> Any:
        size = len(body(max_tokens, text)), max_tokens
        return self.allowances.reserve(who or principal(), f"{number:032x}", MODEL, size, SELLER, self.clock.now())

    @property
    def used(self) -> int:
        (one,) = self.allowances.used(principal())
        return one[1]


def micro(row: UsageRecord) -> int:
    return cost_of(row, SHIPPED).micro


def amount(row: UsageRecord, asked: Counted) -> int:
    covered = row.covered_micro or 0
    return covered if asked.measure is Measure.ALLOWANCE else micro(row) - covered


ANSWER = micro(record(0))
"""What 100 tokens of an answer cost."""


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def start(*limits: Limit, **more: Any) -> Server:
        made.append(Server(limits, **more))
        return made[-1]

    yield start
    for one in made:
        one.allowances.close()


def test_without_limits_nothing_is_counted(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.reserve(1) == ""
    server.allowances.settle(record(1))
    assert server.allowances.used(principal()) == []


@pytest.mark.requirement("G-02 reservation")
def test_what_is_under_way_is_held_and_given_back(serve: Callable[..., Server]) -> None:
    server = serve(limit(3 * ANSWER))
    assert [server.reserve(1), server.reserve(2)] == ["", ""]
    denial = server.reserve(3)
    assert isinstance(denial, Denial)
    assert (denial.status, denial.kind, denial.retry_after) == (429, "rate_limit_error", 2)
    assert "is held for requests under way" in denial.sentence
    server.allowances.settle(record(1, output=0))
    assert server.reserve(3) == ""


@pytest.mark.requirement("G-02 reservation")
def test_a_limit_that_is_used_up_says_which_it_is_whose_move_and_when_it_resets(serve: Callable[..., Server]) -> None:
    server = serve(limit(ANSWER + 300))
    assert server.reserve(1) == ""
    server.allowances.settle(record(1, output=120))
    denial = server.reserve(2)
    assert (denial.status, denial.kind, denial.retry_after, denial.limit_id) == (429, "billing_error", None, "spl_1")
    assert denial.sentence == (
        "Your monthly spend limit of 0.002800 USD is used up: wait until 2026-12-01 00:00 UTC. "
        "An administrator can raise it (limit spl_1)."
    )
    server.clock.advance(6 * 86_400)
    assert server.reserve(3) == ""


def test_a_request_that_may_cost_more_than_is_left_says_what_to_lower(serve: Callable[..., Server]) -> None:
    server = serve(limit(CENT, period=Period.DAILY))
    denial = server.reserve(1, max_tokens=32_000)
    assert "has 0.01 USD left, and this request may cost up to 0.80" in denial.sentence
    assert "lower max_tokens. An administrator" in denial.sentence
    assert server.reserve(1, max_tokens=300) == ""
    server.allowances.settle(record(1, output=300))
    denial = server.reserve(2, max_tokens=300)
    assert "lower max_tokens, or wait until 2026-11-27 00:00 UTC" in denial.sentence
    assert server.reserve(2, max_tokens=10) == ""


def test_a_request_that_names_no_limit_of_tokens_is_taken_for_a_long_one(serve: Callable[..., Server]) -> None:
    server = serve(limit(ANSWER * UNSAID // 100))
    assert isinstance(server.reserve(1, max_tokens=None), Denial)
    assert isinstance(server.reserve(2, max_tokens=UNSAID - 10), str)


@pytest.mark.requirement("G-03 once")
def test_a_request_is_settled_once_whoever_says_so_how_often(serve: Callable[..., Server]) -> None:
    server = serve(limit(100 * CENT))
    server.reserve(1)
    for _ in range(3):
        server.allowances.settle(record(1))
    server.allowances.settle(record(2))
    assert server.used == ANSWER


@pytest.mark.requirement("G-03 recount")
@given(st.lists(st.sampled_from(["reserve", "settle", "twice", "store", "store again", "count", "hours"]), max_size=40))
def test_counters_agree_with_the_ledger_whenever_it_is_counted(steps: list[str]) -> None:
    server = Server([limit(10**9)])
    with closing(server.allowances):
        number, under_way, settled, unsaved = 0, list[int](), list[UsageRecord](), list[UsageRecord]()
        for step in steps:
            if step == "reserve":
                number += 1
                under_way.append(number)
                server.reserve(number)
            elif step == "hours":
                server.clock.advance(4_000)
            elif step in {"settle", "twice"} and under_way:
                row = record(under_way.pop(0), server.clock.now(), output=number)
                settled.append(row)
                unsaved.append(row)
                for _ in range(1 + (step == "twice")):
                    server.allowances.settle(row)
            elif step.startswith("store"):
                server.write(unsaved)
                unsaved = []
            elif step == "count":
                server.allowances.refresh()
            assert server.used == sum(map(micro, settled)) + ANSWER_HELD * len(under_way)


@pytest.mark.requirement("G-03 recount")
def test_what_was_read_is_not_read_again_until_it_may_be_another(serve: Callable[..., Server]) -> None:
    server = serve(limit(10**9))
    server.rows += [record(1, NOW - 7_000), record(2, NOW - 10)]
    server.allowances.refresh()
    server.clock.advance(15)
    server.rows.append(record(3, NOW + 5))
    server.allowances.refresh()
    border = NOW - OVERLAP
    assert server.read == [(0.0, border), (border,), (border,)]
    assert server.used == 2 * ANSWER, "what was there before the border came by a way that nobody heard of"
    server.clock.advance(WHOLE)
    server.allowances.refresh()
    assert server.read[-1] == (0.0, server.clock.now() - OVERLAP)
    assert server.used == 3 * ANSWER


@pytest.mark.requirement("G-03 recount")
def test_the_border_moves_on_and_nothing_is_lost_or_counted_twice(serve: Callable[..., Server]) -> None:
    server = serve(limit(10**9, period=Period.SEVEN_DAYS), limit(10**9))
    for number in range(40):
        server.rows.append(record(number, server.clock.now()))
        server.clock.advance(WHOLE - 1)
        server.allowances._sums = replace(server.allowances._sums, whole_at=server.clock.now())
        server.allowances.refresh()
        assert [used for _, used in server.allowances.used(principal())] == [ANSWER * (number + 1)] * 2
    assert {len(borders) for borders in server.read[1:]} == {1, 2}


@pytest.mark.requirement("G-03 recount")
def test_a_row_that_is_stored_late_is_told_to_every_server_and_counted(serve: Callable[..., Server]) -> None:
    server = serve(limit(10**9))
    other = Server([limit(10**9)], changes=server.changes)
    other.rows, told = server.rows, list[Change]()
    server.changes.subscribe(told.append)
    with closing(other.allowances):
        for one in (server, other):
            one.allowances.refresh()
            one.clock.advance(100)
        assert server.reserve(1) == ""
        row = record(1, NOW - OVERLAP - 1)
        server.allowances.settle(row)
        server.write([row])
        assert told == [Change("ledger", str(row.started_at))]
        for one in (server, other):
            one.allowances.refresh()
            assert one.used == ANSWER
        server.write([record(2, server.clock.now() - LATE + 1)])
        assert len(told) == 1


@pytest.mark.requirement("G-03 recount")
def test_all_is_read_once_after_costs_were_computed_again(serve: Callable[..., Server]) -> None:
    server = serve(limit(10**9))
    server.allowances.refresh()
    server.repriced = 1
    for _ in range(2):
        server.clock.advance(15)
        server.allowances.refresh()
    assert [len(borders) for borders in server.read] == [2, 1, 2, 1]


@pytest.mark.requirement("G-03 recount")
def test_who_joins_a_group_with_a_pot_brings_along_what_they_spent(serve: Callable[..., Server]) -> None:
    server = serve(limit(10**9, Scope.GROUP, "grp_1", shared=True))
    server.groups = {"mem_1": frozenset({"grp_1"})}
    server.allowances.refresh()
    assert len(server.read[-1]) == 2
    server.allowances.refresh()
    assert len(server.read[-1]) == 1


ANSWER_HELD = micro(record(0, output=100, asked=len(body()) // 4))


@pytest.mark.requirement("G-02 bound")
@given(
    amount=st.integers(0, 40 * ANSWER),
    requests=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 600), st.booleans()), min_size=1, max_size=40),
)
def test_overspending_is_at_most_what_the_requests_under_way_were_underestimated_by(
    amount: int, requests: list[tuple[int, int, bool]]
) -> None:
    server = Server([limit(amount)])
    with closing(server.allowances):
        under_way: list[tuple[int, int, int]] = []
        spent = beyond = 0
        for number, (said, answered, ends) in enumerate(requests):
            if isinstance(server.reserve(number, max_tokens=said), str):
                under_way.append((number, said, answered))
            if ends and under_way:
                spent, beyond = _end(server, under_way.pop(0), spent, beyond)
        while under_way:
            spent, beyond = _end(server, under_way.pop(0), spent, beyond)
        assert spent <= amount + beyond


def _end(server: Server, one: tuple[int, int, int], spent: int, beyond: int) -> tuple[int, int]:
    number, said, answered = one
    row = record(number, output=answered)
    held = micro(record(number, output=said, asked=len(body(said)) // 4))
    server.allowances.settle(row)
    return spent + micro(row), beyond + max(0, micro(row) - held)


@pytest.mark.parametrize(
    ("measure", "amount", "period", "words"),
    [
        (Measure.REQUESTS, 2, Period.MINUTE, "Your limit is 2 requests per minute"),
        (Measure.CONCURRENT, 2, Period.NOW, "Your limit is 2 requests at the same time"),
        (Measure.TOKENS, 230, Period.MINUTE, "Your limit is 230 tokens per minute"),
    ],
)
def test_rates_are_refused_with_a_time_to_try_again(
    serve: Callable[..., Server], measure: Measure, amount: int, period: Period, words: str
) -> None:
    server = serve(limit(amount, measure=measure, period=period))
    assert [server.reserve(1), server.reserve(2)] == ["", ""]
    denial = server.reserve(3)
    assert (denial.status, denial.kind) == (429, "rate_limit_error")
    assert denial.sentence.startswith(words)
    assert 1 <= denial.retry_after <= 61
    waits = f"wait {denial.retry_after} s, or send fewer" in denial.sentence
    assert waits == (measure is Measure.REQUESTS)  # the tokens are held only, and so are places
    for number in (1, 2):
        server.allowances.settle(record(number))
    server.allowances.refresh()
    server.clock.advance(61)
    assert server.reserve(3) == ""


def test_from_80_percent_on_the_answer_says_so(serve: Callable[..., Server]) -> None:
    server = serve(limit(10 * ANSWER))
    for number in range(8):
        assert server.reserve(number) == ""
        server.allowances.settle(record(number))
    said = server.reserve(9)
    assert said == "Your monthly spend limit of 0.025000 USD is used up to 80 percent (spl_1)"


def test_a_limit_that_is_set_while_a_request_is_under_way_counts_it(serve: Callable[..., Server]) -> None:
    server = serve(limit(10**9))
    server.reserve(1)
    server.limits.append(limit(5 * CENT, Scope.KEY, "key_1", shared=True))
    server.changes.publish(Change("limit", "spl_1"))
    server.allowances.settle(record(1))
    assert [used for _, used in server.allowances.used(principal())] == [ANSWER, ANSWER]


@pytest.mark.parametrize("closed", [False, True])
def test_what_could_not_be_counted_for_long_fails_as_the_operator_wants(
    serve: Callable[..., Server], closed: bool
) -> None:
    server = serve(limit(10**9), closed=closed)
    server.clock.advance(119)
    assert server.reserve(1) == ""
    server.clock.advance(2)
    answer = server.reserve(2)
    assert isinstance(answer, Denial) is closed
    if closed:
        assert (answer.status, answer.retry_after) == (503, 5)
        server.allowances.refresh()
        assert server.reserve(2) == ""


@pytest.mark.requirement("G-05 counters")
def test_keys_of_one_member_draw_on_the_same_seat(serve: Callable[..., Server]) -> None:
    server = serve(limit(2 * ANSWER_HELD - 1))
    assert server.reserve(1, who=principal("key_1")) == ""
    assert isinstance(server.reserve(2, who=principal("key_2")), Denial)
    assert server.reserve(3, who=principal("key_3", "mem_2")) == ""


@pytest.mark.requirement("G-03 recount")
@pytest.mark.parametrize(
    ("measure", "period"), [(Measure.CONCURRENT, Period.NOW), (Measure.SPEND, Period.MONTHLY)]
)  # fmt: skip
def test_a_pot_stays_one_for_all_when_the_ledger_is_counted(
    serve: Callable[..., Server], measure: Measure, period: Period
) -> None:
    """Also one of which nothing is used at that moment, while a settlement of somebody is on its way to the ledger."""
    most = 1 if measure is Measure.CONCURRENT else ANSWER * 3 // 2
    server = serve(limit(most, Scope.ORGANIZATION, "org_1", measure, period, shared=True))
    assert server.reserve(1) == ""
    server.allowances.settle(record(1, output=0))
    server.allowances.refresh()
    assert server.reserve(2) == ""
    assert isinstance(server.reserve(3, who=principal("key_2", "mem_2")), Denial)
