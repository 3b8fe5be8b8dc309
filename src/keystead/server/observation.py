"""Whoever watches over the server is shown the gateway and what stands around it."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Final

from keystead.server.gateway import Denials, Gateway, ports
from keystead.server.policy import Principal
from keystead.server.policy.decide import Deny
from keystead.server.telemetry import scrape
from keystead.server.telemetry.collectors import Body, Collectors
from keystead.server.telemetry.metrics import Metrics, State

if TYPE_CHECKING:
    from keystead.server.usage.ledger import LedgerWriter


@contextlib.asynccontextmanager
async def scraped(
    listener: socket.socket | None,
    metrics: Metrics | None,
    gateway: Gateway,
    ledger: "LedgerWriter",
    collectors: Collectors,
) -> AsyncIterator[None]:
    """Answer scrapes for the block, when there is a port for them."""
    if listener is None or metrics is None:
        yield
        return
    state = State(
        open=lambda: gateway.answering,
        circuits=lambda: _circuits(gateway),
        waiting=lambda: ledger.waiting,
        carried=collectors.counts,
    )
    async with scrape.answering(listener, metrics, state):
        yield


def _circuits(gateway: Gateway) -> Iterable[tuple[str, bool]]:
    now = gateway.monotonic()
    return [(one.upstream.name, now < one.until) for one in gateway.health.circuits.values()]


def counted(denials: Denials, metrics: Metrics | None) -> Denials:
    """Return ``denials`` that are counted too."""
    if metrics is None:
        return denials

    def note(principal: Principal, deny: Deny, now: float) -> None:
        metrics.denied(deny.rule.id)
        denials(principal, deny, now)

    return note


_OF_CONTENT: Final = frozenset({"logs", "traces"})
"""Signals that can hold what was asked and answered."""


def carrying(collectors: Collectors, zero_retention: Callable[[Principal], bool]) -> ports.Collectors:
    """Return what passes telemetry on; of whom nothing may be kept, only what cannot hold content."""

    def carry(principal: Principal, telemetry: ports.Telemetry) -> None:
        if telemetry.signal in _OF_CONTENT and zero_retention(principal):
            collectors.withhold(telemetry.signal)
        else:
            collectors.offer(Body(*telemetry))

    return carry
