"""The address that Prometheus reads, on a port of its own: it is for the operator, and not for clients."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final

import uvicorn

from keystead import __version__
from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings
from keystead.server.telemetry.exposition import CONTENT_TYPE, text
from keystead.server.telemetry.metrics import Metrics, State

PATH: Final = "/metrics"
LAG_INTERVAL: Final = 0.5
_AT_ONCE: Final = 32
"""Connections and requests; more are answered 503."""

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


@contextlib.contextmanager
def listening(settings: ServerSettings) -> Iterator[socket.socket | None]:
    """Give the socket of the metrics' own port, or None when there is to be none.

    Raises:
        ConfigurationError: the port is taken, or the address is not this machine's.
    """
    if not settings.metrics_port:
        yield None
        return
    host = settings.metrics_host
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, settings.metrics_port))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"Cannot listen for scrapes on {host} port {settings.metrics_port}: {error}.",
                hint="Correct KEYSTEAD_SERVER_METRICS_HOST and KEYSTEAD_SERVER_METRICS_PORT.",
                move="operator",
            ) from error
        yield listener


class Scrapes:
    """The ASGI application of the metrics' port."""

    def __init__(self, metrics: Metrics, state: State) -> None:
        self._metrics = metrics
        self._state = state

    async def __call__(self, scope: Message, _receive: object, send: Send) -> None:
        """Answer one request."""
        status, body, headers = self._answer(scope["method"], scope["path"])
        headers = [*headers, (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, method: str, path: str) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        if path != PATH:
            return 404, b"The metrics are at /metrics.\n", [(b"content-type", b"text/plain")]
        if method not in {"GET", "HEAD"}:
            return 405, b"Only GET is supported.\n", [(b"content-type", b"text/plain"), (b"allow", b"GET, HEAD")]
        families = self._metrics.families(self._state, __version__)
        return 200, text(families), [(b"content-type", CONTENT_TYPE.encode())]


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to the one that serves clients."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def answering(listener: socket.socket, metrics: Metrics, state: State) -> AsyncIterator[None]:
    """Answer scrapes, and measure how late the event loop is, for the block."""
    config = uvicorn.Config(
        Scrapes(metrics, state),
        ws="none",
        lifespan="off",
        server_header=False,
        access_log=False,
        proxy_headers=False,
        log_config=None,
        limit_concurrency=_AT_ONCE,
        timeout_graceful_shutdown=1,
    )
    listener.listen()  # whoever scrapes before the task below has begun waits, and is not refused
    server, lag = _Server(config), _Lag(metrics)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        lag.stop()
        server.should_exit = True
        await task


class _Lag:
    """Asks the event loop for something in a while, and looks how late it comes."""

    def __init__(self, metrics: Metrics) -> None:
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self._ask()

    def _ask(self) -> None:
        self._due = self._loop.time() + LAG_INTERVAL
        self._handle = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._metrics.lag.observe(max(0.0, self._loop.time() - self._due))
        self._ask()

    def stop(self) -> None:
        """Ask no more."""
        self._handle.cancel()
