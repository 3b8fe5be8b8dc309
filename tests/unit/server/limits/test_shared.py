"""Several servers that tell one another: nothing is counted twice, lost or held for ever, and the bound holds."""

import hashlib
import hmac
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.allowances import AWAY_SECONDS, Allowances, LimitTruth
from keystead.server.changes import Changes
from keystead.server.limits.counted import Counted, Spent
from keystead.server.limits.others import LEASE
from keystead.server.limits.over import STALE, Denial
from keystead.server.limits.shared import Begun, Held, News, Settled, dump, parse
from keystead.server.limits.sums import Ledger
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import Limit, Measure, Period, Scope
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.record import UsageRecord, cost_of
from keystead.testing.clock import FakeClock

NOW = 1_795_694_400.0  # 2026-11-26 12:00 UTC
MODEL = "claude-opus-4-5"
SELLER = ("anthropic", "anthropic")
CALLER = Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1")
KEY = b"k" * 32
NUMBERS = st.integers(0, 10**15)
CALLERS = st.sampled_from(
    [
        CALLER,
        Principal(PrincipalKind.SESSION, "ses_ü", "org_1", "wrk_1", "mem_2"),
        Principal(PrincipalKind.API_KEY, "key_2", "org_2", "wrk_2", None, service_account_id="svac_1"),
    ]
)


def limit(amount: int, measure: Measure = Measure.SPEND, period: Period = Period.MONTHLY) -> Limit:
    return Limit("spl_1", Scope.USER, "mem_1", False, measure, period, amount)


def record(number: int, at: float = NOW, output: int = 100) -> UsageRecord:
    who = f"{number:032x}", "req_1", "org_1", "wrk_1", "mem_1", "api_key", "key_1", "", ""
    return UsageRecord(*who, "anthropic", MODEL, 200, at, 5, 0, output, 0, 0, False, False, False)


def micro(row: UsageRecord) -> int:
    return cost_of(row, SHIPPED).micro


ANSWER = micro(record(0))
"""What 100 tokens of an answer cost, and so what a request holds that asks for so many."""


class Database:
    """The ledger of several servers, and what they know of its rows."""

    def __init__(self, *limits: Limit) -> None:
        self.limits = limits
        self.rows: list[UsageRecord] = []
        self.stored: dict[str, int] = {}

    def read(self, asked: frozenset[Counted], _: float, borders: tuple[float, ...]) -> Ledger:
        parts = zip(borders, (*borders[1:], math.inf), strict=True)
        return Ledger([self._spent(asked, *part) for part in parts], dict(self.stored))

    def _spent(self, asked: frozenset[Counted], begin: float, end: float) -> Spent:
        rows = [(row.started_at, micro(row)) for row in self.rows if begin <= row.started_at < end]
        return {("mem_1", one.measure, one.period): rows for one in asked}


class Server:
    """One of them. ``told`` is what it said and nobody heard yet."""

    def __init__(self, database: Database, name: str, clock: FakeClock, *, closed: bool = False) -> None:
        self.database, self.name, self.clock = database, name, clock
        truth = LimitTruth(lambda: {"org_1": [*database.limits]}, lambda _: {}, database.read)
        self.allowances = Allowances(truth, SHIPPED, clock, Changes(), closed=closed, origin=name)
        self.write = self.allowances.storing(self._store)
        self.under_way: list[int] = []
        self.unsaved: list[UsageRecord] = []

    def _store(self, batch: Sequence[UsageRecord], settlement: int) -> None:
        self.database.rows += batch
        self.database.stored[self.name] = max(settlement, self.database.stored.get(self.name, 0))

    def reserve(self, number: int) -> Denial | str:
        answer = self.allowances.reserve(CALLER, f"{number:032x}", MODEL, (0, 100), SELLER, self.clock.now())
        if isinstance(answer, str):
            self.under_way.append(number)
        return answer

    def settle(self) -> None:
        row = record(self.under_way.pop(0), self.clock.now())
        self.allowances.settle(row)
        self.unsaved.append(row)

    def store(self) -> None:
        self.write(self.unsaved)
        self.unsaved = []

    def hear(self, news: News) -> None:
        if self.allowances.hear(news, self.clock.monotonic()):
            self.allowances.refresh()

    @property
    def used(self) -> int:
        ((_, used),) = self.allowances.used(CALLER)
        return used

    @property
    def own(self) -> int:
        """What this one's requests cost that no count of the ledger has."""
        return ANSWER * (len(self.under_way) + len(self.unsaved))


class Installation:
    """Servers, and the channel between them."""

    def __init__(self, count: int, *limits: Limit, closed: bool = False) -> None:
        self.database, self.clock = Database(*limits), FakeClock(NOW)
        self.servers = [Server(self.database, f"server-{one}", self.clock, closed=closed) for one in range(count)]
        self.tell_all()

    def tell(self, server: Server, *, anyhow: bool = True, lost: bool = False, leaves: bool = False) -> None:
        news = server.allowances.news(anyhow=anyhow, leaves=leaves)
        if news is None or lost:
            return
        heard = parse(dump(news, KEY), [KEY])
        assert heard == news
        for other in self.servers:
            if other is not server:
                other.hear(heard)

    def tell_all(self) -> None:
        """Tell until all have asked and been answered."""
        for _ in range(3):
            for server in self.servers:
                self.tell(server)

    @property
    def true(self) -> int:
        """What is spent and under way."""
        return sum(map(micro, self.database.rows)) + sum(server.own for server in self.servers)


@contextmanager
def installation(count: int, *limits: Limit, closed: bool = False) -> Iterator[Installation]:
    found = Installation(count, *limits, closed=closed)
    yield found
    for server in found.servers:
        server.allowances.close()


NEWS = st.builds(
    News,
    st.text(max_size=32),
    NUMBERS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.lists(st.builds(Held, CALLERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=3),
    st.lists(st.builds(Begun, CALLERS, NUMBERS), max_size=3),
    st.lists(st.builds(Settled, CALLERS, NUMBERS, st.floats(0, 1e10), NUMBERS, NUMBERS, NUMBERS), max_size=3),
)


@given(NEWS)
def test_what_is_told_is_what_was_said(news: News) -> None:
    assert parse(dump(news, KEY), [b"other", KEY]) == news
    assert parse(dump(news, KEY), [b"other"]) is None


@given(st.binary(max_size=200))
def test_what_is_no_message_is_none(data: bytes) -> None:
    assert parse(data, [KEY]) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"held": [[0, -1, 0, 0, 1]]},
        {"held": [[1, 1, 0, 0, 1]]},
        {"begun": [[0, 10**16]]},
        {"settled": [[0, 1, 1.0, True, 0, 0]]},
        {"callers": [["api_key", "k" * 201, "", "", "", ""]]},
        {"callers": [["anybody", "key_1", "", "", "", ""]]},
        {"number": "1"},
    ],
)
def test_a_message_that_says_what_cannot_be_is_none(wrong: dict[str, object]) -> None:
    text = dump(News("a", 1, held=[Held(CALLER, 1, 0, 0, 1)]), KEY)[32:]
    assert parse(hmac.digest(KEY, text, hashlib.sha256) + text, [KEY]) is not None
    text = json.dumps(json.loads(text) | wrong).encode()
    assert parse(hmac.digest(KEY, text, hashlib.sha256) + text, [KEY]) is None


STEPS = st.tuples(
    st.sampled_from(["reserve", "settle", "store", "count", "tell", "lose", "quietly", "minutes"]), st.integers(0, 3)
)


@pytest.mark.requirement("G-03 servers")
@given(st.integers(2, 4), st.lists(STEPS, max_size=60))
def test_counters_of_all_servers_agree_whatever_was_lost_on_the_way(count: int, steps: list[tuple[str, int]]) -> None:
    with installation(count, limit(10**12)) as all_of_them:
        unsaid, lost = dict.fromkeys(range(count), 0), False
        for number, (step, which) in enumerate(steps):
            server = all_of_them.servers[which % count]
            unsaid[which % count] += ANSWER * (step == "settle" and bool(server.under_way))
            lost = lost or step == "lose"
            _do(all_of_them, server, step, number)
            if step in {"tell", "quietly"} and not lost:
                unsaid[which % count] = 0
            assert server.own <= server.used <= all_of_them.true + sum(unsaid.values()), "nothing is counted twice"
        all_of_them.tell_all()
        for server in all_of_them.servers:
            server.allowances.refresh()
            assert server.used == all_of_them.true
        for server in all_of_them.servers:
            while server.under_way:
                server.settle()
            server.store()
        all_of_them.tell_all()
        assert {server.used for server in all_of_them.servers} == {all_of_them.true}


def _do(all_of_them: Installation, server: Server, step: str, number: int) -> None:
    match step:
        case "reserve":
            server.reserve(number)
        case "settle" if server.under_way:
            server.settle()
        case "store":
            server.store()
        case "count":
            server.allowances.refresh()
        case "tell":
            all_of_them.tell(server)
        case "lose":
            all_of_them.tell(server, lost=True)
        case "quietly":
            all_of_them.tell(server, anyhow=False)
        case "minutes":
            all_of_them.clock.advance(100)


@pytest.mark.requirement("G-02 servers")
@given(
    st.integers(2, 4),
    st.integers(0, 30),
    st.lists(st.tuples(st.sampled_from(["reserve", "reserve", "settle", "store", "count", "tell"]), st.integers(0, 3))),
)
def test_overspending_is_at_most_what_the_others_admitted_since_they_were_last_heard(
    count: int, answers: int, steps: list[tuple[str, int]]
) -> None:
    with installation(count, limit(answers * ANSWER)) as all_of_them:
        unheard = dict.fromkeys(range(count), 0)
        beyond = 0
        for number, (step, which) in enumerate(steps):
            index = which % count
            server = all_of_them.servers[index]
            before = len(server.under_way)
            _do(all_of_them, server, step, number)
            if step == "tell":
                unheard[index] = 0
            elif len(server.under_way) > before:
                beyond = max(beyond, sum(amount for other, amount in unheard.items() if other != index))
                unheard[index] += ANSWER
                assert all_of_them.true <= answers * ANSWER + beyond
            assert all_of_them.true <= count * answers * ANSWER


@pytest.mark.requirement("G-02 servers")
@pytest.mark.parametrize(
    ("measure", "period"),
    [(Measure.REQUESTS, Period.MINUTE), (Measure.CONCURRENT, Period.NOW), (Measure.TOKENS, Period.MINUTE)],
)
def test_rates_hold_for_all_servers_together(measure: Measure, period: Period) -> None:
    most = 200 if measure is Measure.TOKENS else 2
    with installation(2, limit(most, measure, period)) as all_of_them:
        first, second = all_of_them.servers
        for number, server in enumerate([first, second]):
            assert server.reserve(number) == ""
            all_of_them.tell(server)
        assert [type(server.reserve(9)) for server in (first, second)] == [Denial, Denial]
        for server in (first, second):
            server.settle()
            all_of_them.tell(server)
        assert isinstance(first.reserve(9), Denial) is (measure is not Measure.CONCURRENT)
        all_of_them.clock.advance(62)
        assert first.reserve(3) == ""


@pytest.mark.requirement("G-02 servers")
def test_what_a_server_held_that_died_is_free_after_its_lease_and_its_rows_count_once() -> None:
    with installation(2, limit(2 * ANSWER)) as all_of_them:
        first, second = all_of_them.servers
        for number in (1, 2):
            assert first.reserve(number) == ""
        first.settle()
        first.store()
        all_of_them.tell(first)
        assert isinstance(second.reserve(3), Denial), "one is spent and one is held"
        all_of_them.clock.advance(LEASE)
        assert not second.allowances.leave_silent(all_of_them.clock.monotonic())
        all_of_them.clock.advance(1)
        assert second.allowances.leave_silent(all_of_them.clock.monotonic())
        second.allowances.refresh()
        assert (second.used, second.allowances.others()) == (ANSWER, 0)
        assert second.reserve(3) == ""
        assert isinstance(second.reserve(4), Denial)


@pytest.mark.requirement("G-03 servers")
def test_a_server_that_was_only_away_is_heard_again_and_counted_once() -> None:
    with installation(2, limit(10**9)) as all_of_them:
        first, second = all_of_them.servers
        assert first.reserve(1) == ""
        assert first.reserve(2) == ""
        first.settle()
        all_of_them.tell(first)
        all_of_them.clock.advance(LEASE + 1)
        assert second.allowances.leave_silent(all_of_them.clock.monotonic())
        second.allowances.refresh()
        assert second.used == 0, "what it settled and has not stored may be lost with it"
        first.store()
        all_of_them.tell_all()
        assert second.used == 2 * ANSWER


def test_a_server_that_stops_in_good_order_gives_back_at_once() -> None:
    with installation(2, limit(10**9)) as all_of_them:
        first, second = all_of_them.servers
        assert first.reserve(1) == ""
        all_of_them.tell(first)
        assert second.used == ANSWER
        all_of_them.tell(first, leaves=True)
        assert (second.used, second.allowances.others()) == (0, 0)


@pytest.mark.requirement("G-03 servers")
def test_a_message_that_comes_twice_or_too_late_changes_nothing() -> None:
    with installation(2, limit(10**9)) as all_of_them:
        first, second = all_of_them.servers
        first.reserve(1)
        first.settle()
        before = first.allowances.news(anyhow=True)
        assert before is not None
        second.hear(before)
        second.hear(before)
        assert second.used == ANSWER
        first.store()
        second.allowances.refresh()
        assert second.used == ANSWER
        all_of_them.tell_all()
        assert second.used == ANSWER


def test_nobodys_spending_is_remembered_while_nobodys_is_limited() -> None:
    with installation(2, limit(5, Measure.CONCURRENT, Period.NOW)) as all_of_them:
        first, second = all_of_them.servers
        for number in range(4):
            first.reserve(number)
            first.settle()
        all_of_them.tell(first)
        second.allowances.refresh()
        assert [*second.allowances._others.settled()] == []


@pytest.mark.parametrize("closed", [False, True])
def test_servers_that_cannot_tell_one_another_fail_as_the_operator_wants(closed: bool) -> None:
    with installation(1, limit(10**9), closed=closed) as all_of_them:
        (server,) = all_of_them.servers
        all_of_them.clock.advance(AWAY_SECONDS)
        assert server.reserve(1) == ""
        all_of_them.clock.advance(1)
        assert (server.reserve(2) is STALE) is closed
        server.allowances.reached()
        assert server.reserve(3) == ""
