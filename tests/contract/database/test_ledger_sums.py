"""Summing the ledger up for limits, on both databases: parts make the whole, and go with the settlements in them."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from uuid_utils.compat import uuid7

from keystead.server.limits.counted import Counted
from keystead.server.limits.sums import Ledger
from keystead.server.policy.limits import Measure, Period, Scope
from keystead.server.usage.prices import PriceBook
from keystead.server.usage.record import UsageRecord
from keystead.testing.clock import FakeClock
from keystead.wire import ids

NOW: Final = datetime(2026, 11, 26, 12, 30, tzinfo=UTC).timestamp()
ORGANIZATION: Final = ids.dump("organization", uuid7())
MEMBERS: Final = [ids.dump("membership", uuid7()) for _ in range(3)]
PERIODS: Final = (Period.DAILY, Period.WEEKLY, Period.MONTHLY, Period.FIVE_HOURS, Period.SEVEN_DAYS)
ASKED: Final = frozenset(
    [Counted(ORGANIZATION, Scope.ORGANIZATION, period, ORGANIZATION) for period in PERIODS]
    + [Counted(ORGANIZATION, Scope.USER, period) for period in PERIODS]
)


def record(number: int, at: float = NOW) -> UsageRecord:
    who: list[Any] = [uuid7().hex, "req_1", ORGANIZATION, ids.dump("workspace", uuid7()), MEMBERS[number % 3]]
    what: list[Any] = ["session", "gra_1", "sdk", "", "anthropic", "claude-opus-4-5", 200, at, 5, 100 + number, 7]
    what += [0, 0, False, False, False]
    return UsageRecord(*who, *what)


def sums(ledger: Ledger) -> Counter[Any]:
    """Add the parts up, by sum and bucket."""
    found: Counter[Any] = Counter()
    for part in ledger.parts:
        for key, amounts in part.items():
            for when, amount in amounts:
                found[key, when] += amount
    return found


def test_wherever_the_borders_are_the_parts_make_the_whole(database: None) -> None:
    from keystead.server.limits import facts
    from keystead.server.usage.ledger import store

    store([record(number, NOW - number * 3_333) for number in range(700)])
    whole = sums(facts.ledger(ASKED, NOW, (0.0,)))
    assert whole.total() == sum(
        amount for part in [facts.spent(ASKED, NOW)] for each in part.values() for _, amount in each
    )
    for borders in [(0.0, NOW - 3_600), (0.0, NOW - 86_400 * 9, NOW - 7_200, NOW), (0.0, NOW + 9)]:
        assert sums(facts.ledger(ASKED, NOW, borders)) == whole


@pytest.mark.requirement("S-25 allowance")
def test_what_is_billed_and_what_is_covered_are_apart_and_make_the_cost(database: None) -> None:
    from keystead.server.limits import facts
    from keystead.server.usage.ledger import store
    from keystead.server.usage.price_list import SHIPPED
    from keystead.server.usage.record import cost_of

    covered = (None, 0, 100, 500)
    rows = [record(0, NOW - number * 600)._replace(covered_micro=covered[number % 4]) for number in range(24)]
    store(rows)
    spend = Counted(ORGANIZATION, Scope.USER, Period.FIVE_HOURS)
    asked = {Measure.SPEND: spend, Measure.ALLOWANCE: spend._replace(measure=Measure.ALLOWANCE)}
    found = facts.spent(frozenset(asked.values()), NOW)
    sums = {one: sum(amount for _, amount in found[MEMBERS[0], one, Period.FIVE_HOURS]) for one in asked}
    cost = sum(cost_of(row, SHIPPED).micro for row in rows)
    assert sums == {Measure.ALLOWANCE: 6 * 600, Measure.SPEND: cost - 6 * 600}
    of_all = Counted(ORGANIZATION, Scope.ORGANIZATION, Period.DAILY, ORGANIZATION)
    ((_, billed),) = facts.spent(frozenset({of_all}), NOW)[ORGANIZATION, Measure.SPEND, Period.DAILY]
    assert billed == cost - 6 * 600


@pytest.mark.requirement("G-03 servers")
def test_rows_and_the_settlement_up_to_which_they_are_there_are_seen_together(database: None) -> None:
    """While another thread stores batch after batch, each sum has exactly the settlements that it says it has."""
    from keystead.server.background import _store
    from keystead.server.limits import facts
    from keystead.server.usage.price_list import SHIPPED

    day = frozenset([Counted(ORGANIZATION, Scope.ORGANIZATION, Period.DAILY, ORGANIZATION)])
    rows = [record(0) for _ in range(60)]
    clock, book = FakeClock(NOW), PriceBook(SHIPPED.prices, SHIPPED.default)

    def write() -> None:
        from django.db import connection

        for number in range(0, 60, 2):
            _store(rows[number : number + 2], number + 2, book=book, origin="one", clock=clock)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    seen = []
    while thread.is_alive():
        seen.append(facts.ledger(day, NOW, (0.0, NOW - 3_600)))
    thread.join()
    seen.append(facts.ledger(day, NOW, (0.0, NOW - 3_600)))
    each = sums(seen[-1]).total() // 60
    from django.db import connection

    if connection.vendor == "postgresql":  # on SQLite there is one server, whose ledger waits while it counts
        assert [sums(one).total() for one in seen] == [each * one.stored.get("one", 0) for one in seen]
    assert seen[-1].stored == {"one": 60}


def test_a_server_that_has_gone_is_forgotten_and_what_it_stored_never_goes_back(database: None) -> None:
    from keystead.server.limits import facts

    now = datetime.fromtimestamp(NOW, UTC)
    facts.store_up_to("old", 3, now - timedelta(days=2))
    facts.store_up_to("new", 3, now - timedelta(days=2))
    facts.store_up_to("new", 4, now)
    assert facts.forget_servers(now - timedelta(days=1)) == 1
    assert facts.ledger(ASKED, NOW, (0.0,)).stored == {"new": 4}
