"""The data plane: model requests checked, relayed and metered without a framework in their way.

How :mod:`keystead.server.app` puts it together::

    gateway = Gateway(directory=…, ledger=…, upstreams=…)
    config = uvicorn.Config(
        gateway.asgi(otherwise=control_plane),   # /v1/models, /healthz, /protocol, …; the rest goes to `otherwise`
        http=gateway.http_protocol,              # /v1/messages never becomes ASGI
        ws="none", lifespan="off", server_header=False,
    )
    …
    gateway.close()                              # after the server has stopped

``protocol`` reads requests, ``exchange`` is one of them from head to ledger row, ``caller`` says whose it is,
``upstream`` keeps the connections, ``pages`` is everything that is not relayed raw.
"""

import asyncio
import functools
import logging
import random
from collections.abc import Callable
from typing import Any, Final

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.credentials.rules import Program
from keystead.server.dpop import Checker
from keystead.server.gateway import crowding
from keystead.server.gateway.allowance import UNLIMITED
from keystead.server.gateway.pages import ASGIApp, Pages
from keystead.server.gateway.pools import Pools
from keystead.server.gateway.ports import (
    Allowances,
    Collectors,
    Denials,
    Directory,
    DirectoryUnavailable,
    Ledger,
    Limits,
    ManagedSettings,
    Observer,
    Permits,
    Quick,
    Readiness,
    Telemetry,
    Tracer,
    Upstreams,
)
from keystead.server.gateway.possession import Possession
from keystead.server.gateway.protocol import GatewayProtocol
from keystead.server.gateway.refusals import Refusal
from keystead.server.gateway.routing import Health, Sessions
from keystead.server.identifiers import new_hex
from keystead.server.policy import Principal
from keystead.server.policy.decide import Credential, Deny, Facts, Permit, Proof
from keystead.server.policy.managed_settings import Delivery
from keystead.wire import ids
from keystead.wire.oauth import PROTECTED_RESOURCE_PATH

__all__ = [
    "Denials",
    "Directory",
    "DirectoryUnavailable",
    "Gateway",
    "Ledger",
    "Limits",
    "ManagedSettings",
    "Observer",
    "Permits",
    "Readiness",
]

_LOG: Final = logging.getLogger("keystead.gateway")
REQUEST: Final = f"{ids.PREFIXES['request']}_"


async def _always_ready() -> str | None:
    return None


_EVERYTHING: Final = Permit(Facts(Credential.API_KEY, Program.OTHER, Proof.NONE, access=None))


def _everything(_principal: Principal) -> Permit:
    return _EVERYTHING


def _unnoted(_principal: Principal, _deny: Deny, _now: float) -> None:
    return None


def _never_quick(*_: object) -> None:
    return None


async def _no_policy(_principal: Principal) -> Delivery | None:
    return None


def _nowhere(_principal: Principal, _telemetry: Telemetry) -> None:
    return None


class Gateway:
    """One gateway in one process, on one event loop.

    Args:
        directory: who owns which credential.
        origin: the address clients use, without a trailing slash.
        proofs: checks that whoever sends a bound token holds its key.
        ledger: where usage is written down.
        upstreams: the model servers behind it, for each caller.
        limits: sizes and times.
        ready: whether the rest of the server can work; ``/readyz`` asks it.
        remark: what ``/readyz`` says beside that it is ready.
        managed_settings: what ``/managed/settings`` answers.
        permits: what a caller may do.
        denials: where refusals by a rule are noted.
        quick: which requests of others are answered without ASGI.
        observer: who counts what happens, if somebody does.
        collectors: where the telemetry of agents goes.
        allowances: what is left of a caller's limits.
        tracer: what traces requests, if they are.
        clock: wall-clock time, for expiry and the ledger.
        monotonic: seconds for durations.
        new_hex: makes the 32 hex digits of a request id, which are also the ledger's row id.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        ledger: Ledger,
        upstreams: Upstreams,
        origin: str,
        proofs: Checker,
        limits: Limits | None = None,
        ready: Readiness = _always_ready,
        remark: Callable[[], str] = str,
        managed_settings: ManagedSettings = _no_policy,
        permits: Permits = _everything,
        denials: Denials = _unnoted,
        quick: Quick = _never_quick,
        observer: Observer | None = None,
        collectors: Collectors = _nowhere,
        allowances: Allowances = UNLIMITED,
        tracer: Tracer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        new_hex: Callable[[], str] = new_hex,
    ) -> None:
        self.directory = directory
        self.metadata = origin + PROTECTED_RESOURCE_PATH
        self.possession = Possession(proofs, origin)
        self.ledger = ledger
        self.limits = limits or Limits()
        self.ready = ready
        self.remark = remark
        self.managed_settings = managed_settings
        self.permits = permits
        self.denials = denials
        self.quick = quick
        self.observer = observer
        self.collectors = collectors
        self.allowances = allowances
        self.tracer = tracer
        self.clock = clock
        self.monotonic = clock.monotonic
        self.new_hex = new_hex
        self.now = clock.now
        self.upstreams = upstreams
        self.pools = Pools(self.limits)
        self.health = Health(random.random)
        self.sessions = Sessions()
        self._connections: set[GatewayProtocol] = set()
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def http_protocol(self) -> Any:
        """What uvicorn calls for every connection: ``uvicorn.Config(http=…)``."""
        return functools.partial(GatewayProtocol, self)

    def asgi(self, otherwise: ASGIApp | None = None) -> ASGIApp:
        """Return the ASGI application of everything that is not relayed raw.

        Args:
            otherwise: answers the paths that are not the gateway's; without it they are 404.
        """
        return Pages(self, otherwise)

    def close(self) -> None:
        """Close the connections to the upstreams. Call it after the last client has gone."""
        self.pools.close()
        if self._sweep is not None:
            self._sweep.cancel()

    def request_id(self) -> str:
        """Return a new request id, ``req_…``."""
        return REQUEST + self.new_hex()

    def note(self, request_id: str, refusal: Refusal) -> None:
        """Count a refusal, and log one that the operator should know of."""
        if self.observer is not None:
            self.observer.refused(refusal.status, refusal.kind)
        if refusal.status >= 500:
            _LOG.warning("%s: refused with %d: %s", request_id, refusal.status, refusal.log or refusal.message)

    def watch(self, connection: GatewayProtocol) -> None:
        """Hold this connection to its deadlines.

        One sweep over all connections replaces a timer per request, which would cost more than the request's parsing.
        """
        self._connections.add(connection)
        if self._sweep is None:
            self._sweep = connection.loop.call_later(self.limits.sweep_seconds, self._look, connection.loop)

    def forget(self, connection: GatewayProtocol) -> None:
        """This connection is gone."""
        self._connections.discard(connection)

    def _make_room(self) -> None:
        """Give up bodies where too much is arriving at once."""
        arriving = [(one, held) for one in self._connections if (held := one.arriving) is not None]
        if sum([size for _, (_, size) in arriving]) > self.limits.arriving_bytes:
            for place in crowding.given_up([held for _, held in arriving], self.limits.arriving_bytes):
                arriving[place][0].give_up()

    @property
    def answering(self) -> int:
        """How many requests are upstream at the moment; asked seldom, for it looks at every connection."""
        return sum(connection.answering for connection in self._connections)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [one for one in self._connections if one.deadline <= now]:
            connection.expire()
        self._make_room()
        self.pools.sweep(now - self.limits.upstream_idle_seconds)
        self._sweep = loop.call_later(self.limits.sweep_seconds, self._look, loop) if self._connections else None
