"""The composition root: one ASGI application, in one process, out of the parts below.

``prepared`` makes everything that needs no event loop: data directory, database, socket. ``serve`` runs the
loop: gateway on its fast path, and the Django control plane beside it in threads.
"""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.credentials.rules import VENDOR_SUBSCRIPTION, is_vendor_subscription, refusal
from keystead.errors import ConfigurationError
from keystead.server import (
    background,
    certificate,
    client_address,
    data_directory,
    observation,
    open_files,
    outbound,
    upstream_snapshot,
)
from keystead.server.background import Running
from keystead.server.certificate import Certificate
from keystead.server.dpop import Checker, Memory
from keystead.server.fixed_credential import FixedCredential
from keystead.server.gateway import DirectoryUnavailable, Gateway, Limits
from keystead.server.gateway.pages import ASGIApp, Receive, Scope, Send
from keystead.server.gateway.ports import Kind, Upstream
from keystead.server.housekeeping import Chore
from keystead.server.mail.routes import route
from keystead.server.policy import Principal
from keystead.server.policy.managed_settings import Delivery
from keystead.server.settings import NO_UPSTREAM, ServerSettings
from keystead.server.site.settings import configure
from keystead.server.telemetry import collectors as telemetry
from keystead.server.telemetry import scrape, traces
from keystead.server.telemetry.collectors import Collectors
from keystead.server.telemetry.metrics import Metrics
from keystead.server.telemetry.traces import Tracer
from keystead.server.upstream_network import Guard
from keystead.server.upstream_snapshot import UpstreamSnapshot
from keystead.server.upstreams import references

if TYPE_CHECKING:
    from keystead.server.site.direct import Direct

SETUP_CODE_LIFETIME: Final = timedelta(days=1)
DRAIN_SECONDS: Final = 15
WORKERS: Final = 8
"""Threads of the control plane."""
_MIGRATION_LOCK: Final = 0x4B45595354
"""Any number that nobody else on the database locks."""

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that listens, for the sentence that says so."""

    settings: ServerSettings
    setup_code: str | None


@dataclass(frozen=True, slots=True)
class Installation:
    """What :func:`serve` needs: an open database, a bound socket, and the settings with the real port."""

    settings: ServerSettings
    listener: socket.socket
    setup_code: str | None
    certificate: Certificate | None = None
    metrics: socket.socket | None = None


@contextlib.contextmanager
def prepared(settings: ServerSettings, clock: Clock, random_bytes: RandomBytes) -> Iterator[Installation]:
    """Make the installation ready to serve, holding its data directory until the end.

    Raises:
        ConfigurationError: a setting is wrong, the port is taken, or the directory cannot be used.
        StoreBusy: another server runs on the same directory.
    """
    check_upstream(settings)
    outbound.reach(settings)  # a list of networks that cannot be read stops the server here
    outbound.upstream_reach(settings)
    references.allowances(settings)
    route(settings)  # and so does a wrong mail setting
    client_address.proxies(settings)
    telemetry.endpoints(settings)
    traces.checked(settings)
    tls = certificate.of(settings, clock.now())
    data_directory.prepare(settings.data_dir)
    with (
        data_directory.only_server(settings.data_dir),
        contextlib.closing(listen(settings)) as listener,
        scrape.listening(settings) as metrics,
    ):
        settings = replace(settings, port=listener.getsockname()[1])
        code = new_setup_code(settings, clock, random_bytes)
        yield Installation(settings, listener, code, tls, metrics)


def check_upstream(settings: ServerSettings) -> None:
    """Refuse to start without an upstream, or with a credential that may not be one."""
    if settings.upstream_url == NO_UPSTREAM and settings.upstream_api_key is not None:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_UPSTREAM_API_KEY is set, and KEYSTEAD_SERVER_UPSTREAM_URL is none.",
            hint="Remove one of the two.",
            move="operator",
        )
    if settings.upstream_url == NO_UPSTREAM:
        return
    if settings.upstream_api_key is None and not settings.allow_test_upstream:
        raise ConfigurationError(
            "No upstream API key is set, and KEYSTEAD_SERVER_ALLOW_TEST_UPSTREAM is off.",
            hint="Set KEYSTEAD_SERVER_UPSTREAM_API_KEY.",
            move="operator",
        )
    key = settings.upstream_api_key
    if key is not None and is_vendor_subscription(key.reveal()):
        # The setting is for API keys; whatever carries this prefix is an OAuth token.
        raise refusal(
            VENDOR_SUBSCRIPTION,
            "KEYSTEAD_SERVER_UPSTREAM_API_KEY",
            alternative="Set it to an API key from the vendor's console.",
            move="operator",
        )


def listen(settings: ServerSettings) -> socket.socket:
    """Return a socket bound to the configured address.

    Raises:
        ConfigurationError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise _cannot_listen(settings, error) from error
    return listener


def _cannot_listen(settings: ServerSettings, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"Port {settings.port} on {settings.host} is in use by another program.",
            hint="Stop that program, or choose another port with --port or KEYSTEAD_SERVER_PORT.",
            move="operator",
        )
    return ConfigurationError(
        f"Cannot listen on {settings.host} port {settings.port}: {error.strerror or error}.",
        hint="Correct --host and --port (KEYSTEAD_SERVER_HOST, KEYSTEAD_SERVER_PORT).",
        move="operator",
    )


def open_database(settings: ServerSettings, random_bytes: RandomBytes) -> None:
    """Configure Django for this installation and bring its schema up to date."""
    data_directory.prepare(settings.data_dir)
    key = settings.secret_key or data_directory.secret_key(settings.data_dir, random_bytes)
    previous = (settings.secret_key_previous, data_directory.previous_secret_key(settings.data_dir))
    if len(key.reveal()) < 32:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_SECRET_KEY is too short.", hint="Use 32 random characters or more.", move="operator"
        )
    configure(settings, key.reveal(), [one.reveal() for one in previous if one is not None])
    check_files(settings)
    from django.db import OperationalError

    try:
        _migrate()
    except OperationalError as error:
        raise ConfigurationError(
            "The database does not answer.", hint="Check KEYSTEAD_SERVER_DATABASE_URL.", move="operator"
        ) from error


def check_files(settings: ServerSettings) -> None:
    """Refuse to start with a list of breached passwords or a price book that cannot be used."""
    from keystead.server.identity import breached
    from keystead.server.usage import price_file

    if settings.limits_fail not in {"open", "closed"}:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_LIMITS_FAIL is neither open nor closed.", hint="Set it to one of them.", move="operator"
        )
    price_file.book_of(settings)
    if settings.breached_passwords_file:
        breached.check(Path(settings.breached_passwords_file))


def _migrate() -> None:
    """Bring the schema up to date; of several servers that start at once, one does while the others wait."""
    from django.core.management import call_command
    from django.db import connection

    if connection.vendor != "postgresql":
        call_command("migrate", verbosity=0, interactive=False)
        return
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0; SET statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        try:
            call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])
    connection.close()  # with the limits that were lifted for the migration


def new_setup_code(settings: ServerSettings, clock: Clock, random_bytes: RandomBytes) -> str | None:
    """Return a fresh one-time code for the first administrator, or None when there is one."""
    open_database(settings, random_bytes)
    from keystead.server.identity import operations

    now = datetime.fromtimestamp(clock.now(), UTC)
    return operations.new_setup_code(now, random_bytes, SETUP_CODE_LIFETIME)


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
    with (
        telemetry.running(settings) as collectors,
        traces.running(settings, collectors) as tracer,
        background.at_work(clock, book_of(settings), _chores(tls, tracer), limits_fail=settings.limits_fail) as running,
        upstream_snapshot.looking(settings, clock) as upstreams,
    ):
        _run(_serve(installation, running, upstreams, collectors, tracer, announce))


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
    upstreams: UpstreamSnapshot,
    collectors: Collectors,
    tracer: Tracer | None,
    announce: Callable[[Ready], None],
) -> None:
    settings = installation.settings
    metrics = Metrics() if installation.metrics is not None else None
    async with _upstream(settings) as upstream, _control_plane(client_address.proxies(settings)) as control_plane:
        gateway = Gateway(
            directory=running.directory,
            origin=settings.base_url,
            proofs=_proofs(),
            ledger=running.ledger,
            upstreams=lambda principal: upstreams.of(principal, upstream),
            limits=Limits(body_bytes=settings.max_body_bytes),
            ready=_database_answers,
            remark=upstreams.remark,
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
            server = _Server(_uvicorn(gateway, control_plane, installation.certificate), lambda: announce(ready))
            async with observation.scraped(installation.metrics, metrics, gateway, running.ledger, collectors):
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


def _uvicorn(gateway: Gateway, control_plane: ASGIApp, tls: Certificate | None) -> uvicorn.Config:
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
        timeout_graceful_shutdown=DRAIN_SECONDS,
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
async def _upstream(settings: ServerSettings) -> AsyncIterator[tuple[Upstream, ...]]:
    """Give the configured upstream, if there is to be one, or start the built-in test upstream beside the gateway."""
    if settings.upstream_url == NO_UPSTREAM:
        yield ()
        return
    if settings.upstream_api_key is not None:
        credential, guard = FixedCredential(settings.upstream_api_key), Guard(outbound.upstream_reach(settings))
        url, anywhere = settings.upstream_url, guard.of_operator
        yield (Upstream("default", "anthropic", Kind.ANTHROPIC, url, credential, addresses=anywhere),)
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


async def _database_answers() -> str | None:
    return await asyncio.to_thread(_ask_database)


def _ask_database() -> str | None:
    from django.db import DatabaseError, connection

    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "the database does not answer"
    return None
