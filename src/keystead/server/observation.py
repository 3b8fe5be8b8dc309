"""Whoever watches over the server is shown the gateway and what stands around it."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Final

from keystead.server.gateway import Denials, Gateway, ports
from keystead.server.policy import Principal
from keystead.server.policy.decide import Deny
from keystead.server.telemetry import scrape
from keystead.server.telemetry.collectors import Collectors
from keystead.server.telemetry.costs import Costs
from keystead.server.telemetry.metrics import Metrics, State
from keystead.server.telemetry.otlp_schema import Marks
from keystead.server.telemetry.relay import Body

if TYPE_CHECKING:
    from keystead.server.background import Running


@contextlib.asynccontextmanager
async def scraped(
    listener: socket.socket | None,
    metrics: Metrics | None,
    gateway: Gateway,
    running: "Running",
    collectors: Collectors,
    costs: Costs,
) -> AsyncIterator[None]:
    """Answer scrapes for the block, when there is a port for them."""
    if listener is None or metrics is None:
        yield
        return
    counters = running.counters
    state = State(
        open=lambda: gateway.answering,
        circuits=lambda: _circuits(gateway),
        waiting=lambda: running.ledger.waiting,
        carried=collectors.counts,
        counters=lambda: None if counters is None else (not counters.away, counters.servers),
        counted_at=lambda: running.allowances.counted_at,
        costs=costs.samples,
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
    """Return what passes telemetry on, with whose it is; of whom nothing may be kept, only what cannot hold content."""

    def carry(principal: Principal, telemetry: ports.Telemetry) -> None:
        bare = zero_retention(principal)
        if bare and telemetry.signal in _OF_CONTENT:
            collectors.withhold(telemetry.signal)
        else:
            collectors.relay(Body(*telemetry), Marks(_whose(principal), bare))

    return carry


def _whose(principal: Principal) -> tuple[tuple[str, str], ...]:
    """Return the attributes that say who a verified caller is: identifiers, for names stay in the control plane."""
    return (
        ("keystead.organization.id", principal.organization_id),
        ("keystead.workspace.id", principal.workspace_id),
        *((("keystead.member.id", principal.member_id),) if principal.member_id else ()),
        *((("keystead.service_account.id", principal.service_account_id),) if principal.service_account_id else ()),
    )
