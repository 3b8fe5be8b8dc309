"""What other servers of the database said of their use, as far as this server's count of the ledger lacks it. Pure.

Every other server is known by the name in its messages. What it holds is added to the counters here until it says
otherwise or nothing for :data:`LEASE`; what it settled is added until a count of the ledger has it.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from keystead.server.limits.plan import Plans
from keystead.server.limits.shared import Held, News, Settled
from keystead.server.policy.limits import MONEY, Measure
from keystead.server.policy.windows import Counter

LEASE: Final = 5.0
"""Seconds after which a server of which nothing is heard has gone, with all that it held."""


class _Server:
    """Another server.

    Attributes:
        heard: the number of its last message.
        at: when that was, on the monotonic clock.
        complete: it has told everything once, and no message was lost since.
        stored: up to this number its settlements are in the count of the ledger.
        settled: those that are not, by number.
        held: for each of its callers, what was added to which counter.
        gone: it counts until the ledger is counted next, and no longer.
    """

    __slots__ = ("at", "complete", "gone", "heard", "held", "settled", "stored")

    def __init__(self) -> None:
        self.heard = 0
        self.at = 0.0
        self.complete = self.gone = False
        self.stored = 0
        self.settled: dict[int, Settled] = {}
        self.held: dict[str, list[tuple[Counter, int]]] = {}


class Heard(NamedTuple):
    """What follows from a message.

    Attributes:
        ask: something was missed, so everybody is to be asked.
        answer: everything is to be told.
        recount: the ledger is to be counted.
    """

    ask: bool = False
    answer: bool = False
    recount: bool = False


class Others:
    """The other servers.

    Args:
        plans: gives the counters of a caller.
    """

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self._servers: dict[str, _Server] = {}

    def __len__(self) -> int:
        return sum(not one.gone for one in self._servers.values())

    def hear(self, news: News, now: float, monotonic: float) -> Heard:
        """Take a message in; one that came before changes nothing."""
        server = self._servers.get(news.origin)
        if server is None or server.gone:
            server = self._servers[news.origin] = self._again(server)
        elif news.number <= server.heard:
            return Heard()
        missed = news.number != server.heard + 1
        server.heard, server.at = news.number, monotonic
        was_complete, server.complete = server.complete, news.whole or (server.complete and not missed)
        if news.whole:
            self._give_back(server)
        for held in news.held:
            self._hold(server, held, now)
        for begun in news.begun:
            self._plans(begun.principal, now).add(Measure.REQUESTS, begun.requests, now, now)
        for settled in news.settled:
            self._settle(server, settled, now)
        if news.leaves:
            self._leave(server)
        ask = not server.complete and (missed or was_complete)
        return Heard(ask, news.asks, news.leaves or (server.complete and (missed or not was_complete)))

    def leave_silent(self, monotonic: float) -> bool:
        """Give up servers of which nothing was heard for long; returns whether there were any."""
        silent = [one for one in self._servers.values() if not one.gone and monotonic - one.at > LEASE]
        for server in silent:
            self._leave(server)
        return bool(silent)

    def counted(self, stored: Mapping[str, int]) -> None:
        """Forget what a count of the ledger has in it, and servers that have gone.

        Args:
            stored: up to which number it has each server's settlements.
        """
        for origin, server in list(self._servers.items()):
            if server.gone:
                del self._servers[origin]
                continue
            server.stored = max(server.stored, stored.get(origin, 0))
            server.settled = {number: one for number, one in server.settled.items() if number > server.stored}

    def forget_settled(self) -> None:
        """Forget all settlements: nobody's spending is limited."""
        for server in self._servers.values():
            server.settled = {}

    def settled(self) -> Iterator[Settled]:
        """Give what was settled elsewhere and is not in the count of the ledger."""
        for server in self._servers.values():
            yield from server.settled.values()

    def _again(self, before: _Server | None) -> _Server:
        """Return a server of which nothing is known, but what the ledger has of it if it was here before."""
        server = _Server()
        if before is not None:
            server.stored, server.settled = before.stored, before.settled
        return server

    def _leave(self, server: _Server) -> None:
        self._give_back(server)
        server.gone = True

    def _give_back(self, server: _Server) -> None:
        for held in server.held.values():
            for counter, amount in held:
                counter.held -= amount
        server.held = {}

    def _hold(self, server: _Server, held: Held, now: float) -> None:
        for counter, amount in server.held.pop(held.principal.id, ()):
            counter.held -= amount
        if not held.requests:
            return
        added = [(counter, held.of(measure)) for measure, counter in self._plans(held.principal, now).counters]
        for counter, amount in added:
            counter.held += amount
        server.held[held.principal.id] = added

    def _settle(self, server: _Server, settled: Settled, now: float) -> None:
        if settled.number <= server.stored or settled.number in server.settled:
            return
        server.settled[settled.number] = settled
        plan = self._plans(settled.principal, now)
        for measure in MONEY:
            plan.add(measure, settled.of(measure), settled.when, now)
        plan.add(Measure.TOKENS, settled.tokens, settled.when, now)
