"""Whoever watches over the server is shown the gateway and what stands around it."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from keystead.server.gateway import Denials, Gateway
from keystead.server.policy import Principal
from keystead.server.policy.decide import Deny
from keystead.server.telemetry import scrape
from keystead.server.telemetry.metrics import Metrics, State

if TYPE_CHECKING:
    from keystead.server.usage.ledger import LedgerWriter


@contextlib.asynccontextmanager
async def scraped(
    listener: socket.socket | None, metrics: Metrics | None, gateway: Gateway, ledger: "LedgerWriter"
) -> AsyncIterator[None]:
    """Answer scrapes for the block, when there is a port for them."""
    if listener is None or metrics is None:
        yield
        return
    state = State(
        open=lambda: gateway.answering,
        circuits=lambda: _circuits(gateway),
        waiting=lambda: ledger.waiting,
        carried=lambda: (),
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
