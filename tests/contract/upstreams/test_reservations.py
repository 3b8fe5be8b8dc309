"""What a request holds is given back however it ends, and what is counted is what the ledger says.

Clients leave at every point of a request, upstreams fail at every point of an answer, and afterwards nothing is held.
"""

import contextlib
import random
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest
from upstreams import upstream

from keystead.clock import SYSTEM_CLOCK
from keystead.server.allowances import Allowances, LimitTruth
from keystead.server.changes import Change, Changes
from keystead.server.gateway import Limits
from keystead.server.limits.sums import Ledger
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import Limit, Measure, Period, Scope
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.prices import PriceBook
from keystead.server.usage.record import cost_of
from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

REQUESTS: Final = 400
PLENTY: Final = 10**15
BOOK: Final = PriceBook((), SHIPPED.default)
CALLER: Final = Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1")
MEASURES: Final = (
    (Measure.SPEND, Period.MONTHLY),
    (Measure.SPEND, Period.SEVEN_DAYS),
    (Measure.TOKENS, Period.MINUTE),
    (Measure.CONCURRENT, Period.NOW),
)
BEHAVIOURS: Final = (
    "", "late=0.02", "hang=3", "abort=0", "abort=2", "abort=4", "error=529", "error=400", "slow=0.01, words=5", "drop",
    "framing=close", "split=7",
)  # fmt: skip
"""What the upstream does."""


def limits() -> list[Limit]:
    """One of every measure, on which the seat and, for some, the whole organization draw."""
    own = [Limit(f"spl_{n}", Scope.USER, "mem_1", False, *of, PLENTY) for n, of in enumerate(MEASURES)]
    pot = Limit("spl_9", Scope.ORGANIZATION, "org_1", True, Measure.CONCURRENT, Period.NOW, PLENTY)
    return [*own, pot]


@pytest.fixture
def allowances() -> Iterator[tuple[Allowances, Changes]]:
    changes = Changes()
    truth = LimitTruth(
        lambda: {"org_1": limits()}, lambda _: {}, lambda _, now, borders: Ledger([{}] * len(borders), {})
    )
    with closing(Allowances(truth, BOOK, SYSTEM_CLOCK, changes)) as made:
        yield made, changes


def bodies(chosen: random.Random) -> bytes:
    from tests.contract.upstreams.conftest import question

    behaviour = chosen.choice(BEHAVIOURS)
    return question(f"x-keystead-fake: {behaviour}" if behaviour else "hello", stream=chosen.random() < 0.6)


def go(running: "Running", seed: int) -> None:
    """Send one request as far as chance has it, wait as long, and leave by a reset or in good order, or stay."""
    chosen = random.Random(seed)
    asked = bodies(chosen)
    raw = running.head("connection: close", length=len(asked)) + asked
    size = len(raw) if chosen.random() < 0.8 else chosen.randrange(len(raw))
    with contextlib.suppress(OSError), running.connect() as connection:
        if chosen.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(raw[:size])
        for _ in range(chosen.choice((0, 0, 1, 2, 50))):
            connection.settimeout(chosen.choice((0.001, 0.05, 0.3)))
            if not connection.recv(chosen.choice((1, 100, 65536))):
                break


def held(running: "Running", allowances: Allowances) -> dict[Scope, int]:
    """Return what is held when all is over, or what is after many round trips if it never is."""
    for _ in range(3_000):
        found = {
            cap.limit.scope: used for cap, used in allowances.used(CALLER) if cap.limit.measure is Measure.CONCURRENT
        }
        running.send(b"GET /healthz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
        if not any(found.values()):
            break
    return found


def spent(allowances: Allowances) -> set[int]:
    return {used for cap, used in allowances.used(CALLER) if cap.limit.measure is Measure.SPEND}


def everything(running: "Running", allowances: Allowances, changes: Changes, seeds: Sequence[int]) -> None:
    """Send a request for each seed, some at a time, while limits are changed; then compare."""
    with ThreadPoolExecutor(16) as pool:
        for number, _ in enumerate(pool.map(lambda seed: go(running, seed), seeds)):
            if number % 50 == 25:
                changes.publish(Change("limit", "spl_1"))
    assert held(running, allowances) == {Scope.USER: 0, Scope.ORGANIZATION: 0}
    assert [counter.held for counter in allowances._counters.values() if counter.held] == []
    assert allowances._open == {}
    rows = running.ledger.wait(0)
    assert len({row.id for row in rows}) == len(rows)
    assert spent(allowances) == {sum(cost_of(row, BOOK).micro for row in rows)}


@pytest.mark.requirement("G-02 given back")
@pytest.mark.parametrize("count", [1, 2])
def test_nothing_is_held_when_all_is_over_however_it_ended(
    serve: "Callable[..., Running]", api: MessagesApi, allowances: tuple[Allowances, Changes], count: int
) -> None:
    """With one upstream, and with another behind it that does not take everything either."""
    with MessagesApi() as other:
        upstreams = [upstream(api.base_url, "a"), upstream(other.base_url, "b")][:count]
        small = Limits(upstream_connections=8, upstream_waiting=16, first_byte_seconds=1, sweep_seconds=0.05)
        running = serve(small, allowances=allowances[0], upstreams=upstreams)
        everything(running, *allowances, range(REQUESTS))


def test_a_defect_behind_the_reservation_gives_back_what_was_held(
    serve: "Callable[..., Running]", api: MessagesApi, allowances: tuple[Allowances, Changes]
) -> None:
    """The connection ends with it, and with that the request."""

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    upstreams = [upstream(api.base_url, "a"), upstream(api.base_url, "b")]
    running = serve(allowances=allowances[0], upstreams=upstreams)
    running.gateway.health.tried = broken  # type: ignore[method-assign,assignment]
    assert running.ask().raw == b""
    assert held(running, allowances[0]) == {Scope.USER: 0, Scope.ORGANIZATION: 0}
