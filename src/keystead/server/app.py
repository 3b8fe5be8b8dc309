"""The composition root: one ASGI application, in one process, out of the parts below.

``serve`` runs the loop over an :mod:`installation`: the gateway on its fast path, and the Django control plane beside
it in threads.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.environment import Environment
from keystead.server import (
    background,
    client_address,
    observation,
    open_files,
    own_upstream,
    upstream_snapshot,
)
from keystead.server.background import Running
from keystead.server.certificate import Certificate
from keystead.server.dpop import Checker, Memory
from keystead.server.gateway import DirectoryUnavailable, Gateway, Limits, Readiness
from keystead.server.gateway.pages import ASGIApp, Receive, Scope, Send
from keystead.server.gateway.ports import Kind, Upstream
from keystead.server.housekeeping import Chore
from keystead.server.installation import Installation
from keystead.server.own_upstream import OwnUpstream
from keystead.server.policy import Principal
from keystead.server.policy.managed_settings import Delivery
from keystead.server.settings import NO_UPSTREAM, ServerSettings
from keystead.server.telemetry import collectors as telemetry
from keystead.server.telemetry import traces
from keystead.server.telemetry.collectors import Collectors
from keystead.server.telemetry.costs import Costs
from keystead.server.telemetry.metrics import Metrics
from keystead.server.telemetry.traces import Tracer
from keystead.server.upstream_snapshot import UpstreamSnapshot

if TYPE_CHECKING:
    from keystead.server.site.direct import Direct

WORKERS: Final = 8
"""Threads of the control plane."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that listens, for the sentence that says so."""

    settings: ServerSettings
    setup_code: str | None


def serve(installation: Installation, announce: Callable[[Ready], None], clock: Clock = SYSTEM_CLOCK) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way and write the ledger out.

    Args:
        installation: what :func:`prepared` gave.
        announce: called once, when the server answers.
        clock: wall-clock time, for expiry and the ledger.
    """
    from keystead.server.usage.price_file import book_of

    open_files.allow_all()
    settings, tls = installation.settings, installation.certificate
    own = own_upstream.of(settings, Environment.capture().variables, clock)
    book = book_of(settings)
    costs = Costs(book)
    with (
        telemetry.running(settings) as collectors,
        traces.running(settings, collectors) as tracer,
        background.at_work(
            clock,
            book,
            _chores(tls, tracer),
            limits_fail=settings.limits_fail,
            counters_url=settings.counters_url,
            stored=costs.add if installation.metrics else None,
        ) as running,
        upstream_snapshot.looking(settings, clock, more=_looking_at(own)) as upstreams,
    ):
        _run(_serve(installation, running, Upstreams(upstreams, own), collectors, tracer, costs, announce))


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Those that organizations connected, and the server's own."""

    connected: UpstreamSnapshot
    own: OwnUpstream | None

    def remark(self) -> str:
        """Return what ``/readyz`` says of them."""
        return self.connected.remark() + ("" if self.own is None else self.own.remark())


def _looking_at(own: OwnUpstream | None) -> list[Chore]:
    name, every = "looking at the server's own upstream", upstream_snapshot.REFRESH_SECONDS
    return [] if own is None else [Chore(name, every, own.look)]


def _chores(tls: Certificate | None, tracer: Tracer | None) -> Iterator[Chore]:
    """Give what is done from time to time where it was asked for."""
    if tls is not None:
        yield Chore("reading the certificate again", background.REFRESH_SECONDS, tls.refresh)
    if tracer is not None:
        yield Chore("sending traces", traces.EVERY, lambda _: tracer.send())


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _serve(
    installation: Installation,
    running: Running,
    upstreams: Upstreams,
    collectors: Collectors,
    tracer: Tracer | None,
    costs: Costs,
    announce: Callable[[Ready], None],
) -> None:
    settings, connected = installation.settings, upstreams.connected
    metrics = Metrics() if installation.metrics is not None else None
    async with (
        _upstream(settings, upstreams.own) as upstream,
        _control_plane(client_address.proxies(settings)) as control_plane,
    ):
        gateway = Gateway(
            directory=running.directory,
            origin=settings.base_url,
            proofs=_proofs(),
            ledger=running.ledger,
            upstreams=lambda principal: connected.of(principal, upstream),
            limits=Limits(body_bytes=settings.max_body_bytes),
            ready=_readiness(running, closed=settings.limits_fail == "closed"),
            remark=lambda: upstreams.remark() + ("" if running.counters is None else running.counters.remark()),
            managed_settings=_managed_settings,
            permits=running.permits.of,
            denials=observation.counted(running.denials, metrics),
            observer=metrics,
            collectors=observation.carrying(collectors, running.permits.zero_retention),
            tracer=tracer,
            quick=control_plane.quick,
            allowances=running.allowances,
        )
        for own in upstream:
            gateway.pools.of(own)  # an address that cannot be one stops the server here
        ready = Ready(settings, installation.setup_code)
        _leave_what_stays_out_of_collections()
        try:
            server = _Server(_uvicorn(gateway, control_plane, installation), lambda: announce(ready))
            async with observation.scraped(installation.metrics, metrics, gateway, running, collectors, costs):
                await server.serve(sockets=[installation.listener])
        finally:
            gateway.close()


def _proofs() -> Checker:
    """Return what checks the proofs of bound tokens, with the nonces that the authorization server gives out too."""
    from keystead.server.authorization.checks import binding

    return Checker(binding.nonces(), Memory().spend)


def _leave_what_stays_out_of_collections() -> None:
    """Look for garbage cycles among what is new only, and not as often as a program that makes many should.

    A relayed request makes no cycles, yet its objects would set off a collection every dozen requests, now and then
    one that visits all of Django. Memory is still bounded: a collection comes after every 50,000 objects that stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens, and for which a signal means stopping in good order."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM; unlike uvicorn's own, without raising them again.

        Raised again, SIGTERM would end the process before the ledger is written out.
        """
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def _uvicorn(gateway: Gateway, control_plane: ASGIApp, installation: Installation) -> uvicorn.Config:
    tls = installation.certificate
    return uvicorn.Config(
        gateway.asgi(otherwise=control_plane),
        ssl_context_factory=None if tls is None else lambda *_: tls.context,
        http=gateway.http_protocol,
        ws="none",
        lifespan="off",
        server_header=False,
        access_log=False,
        proxy_headers=False,  # uvicorn would believe whatever comes from loopback, scheme and address alike
        log_config=None,
        timeout_graceful_shutdown=installation.settings.drain_seconds,
    )


@contextlib.asynccontextmanager
async def _control_plane(proxies: client_address.Proxies) -> AsyncIterator["Direct"]:
    """Give Django as an ASGI application that runs it in threads; as ASGI itself it is several times slower.

    What programs ask most goes to the same code past its stack. ``REMOTE_ADDR`` is the client's address, whatever
    stands between: whoever needs an address reads it there.
    """
    from a2wsgi import WSGIMiddleware
    from django.db import connection

    from keystead.server.site.direct import Direct
    from keystead.server.site.gathered import Gathered
    from keystead.server.site.lanes import Lanes
    from keystead.server.site.wsgi import application

    threads: Any = WSGIMiddleware(cast("Any", application), workers=WORKERS)

    async def django(scope: Scope, receive: Receive, send: Send) -> None:
        await threads(client_address.resolved(scope, proxies), receive, send)

    gathered = Gathered(django)
    lanes = Lanes(WORKERS, together=connection.vendor == "sqlite")
    try:
        yield Direct(gathered, lanes, proxies)
    finally:
        await asyncio.to_thread(lanes.close)


@contextlib.asynccontextmanager
async def _upstream(settings: ServerSettings, own: OwnUpstream | None) -> AsyncIterator[tuple[Upstream, ...]]:
    """Give the configured upstream, if there is to be one, or start the built-in test upstream beside the gateway."""
    if settings.upstream_url == NO_UPSTREAM:
        yield ()
        return
    if own is not None:
        yield (own.shape,)
        return
    from keystead.testing.messages_api import MessagesApi

    fake = MessagesApi()
    try:
        yield (Upstream("default", "test", Kind.MESSAGES, await fake.serve()),)
    finally:
        await fake.close()


async def _managed_settings(principal: Principal) -> Delivery | None:
    """Ask the policies in a thread; agents ask once an hour."""
    return await asyncio.to_thread(_delivery, principal)


def _delivery(principal: Principal) -> Delivery | None:
    from django.core.exceptions import ObjectDoesNotExist
    from django.db import DatabaseError

    from keystead.server.policies import operations

    try:
        return operations.delivery(principal)
    except (DatabaseError, ObjectDoesNotExist) as error:  # a policy that cannot be read is not "no policy"
        raise DirectoryUnavailable(type(error).__name__) from error


def _readiness(running: Running, *, closed: bool) -> Readiness:
    """Return what ``/readyz`` asks: the database, and the counter store where limits fail closed without it."""

    async def missing() -> str | None:
        if closed and running.counters is not None and running.counters.away:
            return "the counter store does not answer"
        return await asyncio.to_thread(_ask_database)

    return missing


def _ask_database() -> str | None:
    from django.db import DatabaseError, connection

    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "the database does not answer"
    return None
