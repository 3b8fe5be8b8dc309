"""Connections to an upstream: kept open, reused, bounded; bytes in, bytes out.

A :class:`Listener` asks :meth:`Pool.send` and is told, in this order, ``on_head`` once, ``on_body`` any number
of times, then ``on_end`` or ``on_failure``; or ``on_answer`` instead of all that. Everything happens on the event
loop; nothing blocks.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from keystead.server.fixed_credential import NO_CREDENTIAL
from keystead.server.gateway.address import fixed_lines, place_of, usual_tls
from keystead.server.gateway.ports import Limits, Upstream
from keystead.server.gateway.upstreams.translation import Translation
from keystead.wire.http1 import Body, CloseBody, MalformedResponse, ResponseHead, parse_head

if TYPE_CHECKING:
    from keystead.server.gateway.upstreams import Adapter

_LOG: Final = logging.getLogger("keystead.gateway")
_LARGEST_HEAD: Final = 65_536


class Failure(Exception):
    """The upstream gave no complete answer.

    Args:
        status: what the client is told when nothing of the answer has reached it yet.
        message: one sentence for the client.
        detail: for the operator's log.
    """

    def __init__(self, status: int, message: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.message = message
        self.detail = detail


class Listener(Protocol):
    """Whoever waits for an answer.

    Attributes:
        connection: set while a connection works for this listener.
        gone: the listener no longer wants an answer.
    """

    connection: "Connection | None"
    gone: bool

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        """Take the head; ``more``: a piece of the body follows at once, so that both can be written together."""

    def on_body(self, raw: bytes, payload: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """Take head, body and end at once: an answer that arrived in one piece."""

    def on_failure(self, failure: Failure) -> None: ...


class Connection(asyncio.Protocol):
    """One connection to the upstream, for one request at a time."""

    __slots__ = (
        "_body",
        "_eof",
        "_head",
        "_keep_alive",
        "_listener",
        "_paused",
        "_pool",
        "_request",
        "_reused",
        "idle_since",
        "transport",
    )

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._listener: Listener | None = None
        self._request: Sequence[bytes] = ()
        self._head = b""
        self._body: Body | None = None
        self._keep_alive = False
        self._reused = False
        self._eof = False
        self._paused = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape, not by class

    def start(self, listener: Listener, request: Sequence[bytes], *, reused: bool) -> None:
        """Send a request and tell ``listener`` what comes back."""
        self._listener, self._request, self._reused = listener, request, reused
        self._head, self._body = b"", None
        listener.connection = self
        if len(request) == 1:
            self.transport.write(request[0])
        else:
            self.transport.writelines(request)

    def abandon(self) -> None:
        """Nobody wants the answer any more: cut the connection, which stops the upstream's work."""
        self._listener = None
        self.transport.abort()

    def pause(self) -> None:
        """Stop reading: whoever takes the answer is slower than the upstream."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        listener = self._listener
        if listener is None:  # bytes nobody asked for: the next answer could not be trusted
            self.transport.abort()
            return
        try:
            if self._body is None:
                data = self._read_head(listener, data)
            body = self._body
            if body is not None and not body.done:
                self._relay(listener, body, data)
            elif data:
                self._keep_alive = False
        except MalformedResponse as error:
            self._fail(_malformed(error))
            return
        if body is not None and body.done and self._listener is listener:
            self._finish(listener)

    def _relay(self, listener: Listener, body: Body, data: bytes) -> None:
        if not data:
            return
        payload = body.feed(data)
        if body.surplus:
            self._keep_alive = False
            data = data[: -body.surplus]
        listener.on_body(data, payload)

    def _read_head(self, listener: Listener, data: bytes) -> bytes:
        """Read up to the end of the final response head; returns what follows it."""
        data = self._head + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = parse_head(data[:end])
            data = data[end + 4 :]
            if head.status != 200:
                _check_status(head.status)
            if head.status >= 200:
                self._head, self._request = b"", ()
                self._keep_alive = head.keep_alive
                if head.length == len(data) and not head.bodiless:
                    self._release(listener)
                    try:
                        listener.on_answer(head, data)
                    except MalformedResponse as error:
                        listener.on_failure(_malformed(error))
                    return b""
                self._body = head.body()
                listener.on_head(head, more=bool(data) and not self._body.done)
                return data
        if len(data) > _LARGEST_HEAD:
            raise MalformedResponse("its head is too long")
        self._head = data
        return b""

    def _finish(self, listener: Listener) -> None:
        self._release(listener)
        _end(listener)

    def _release(self, listener: Listener) -> None:
        """The answer is complete: the next request may have this connection."""
        self._listener = None
        listener.connection = None
        if self._keep_alive and not self.transport.is_closing():
            self.resume()
            self._pool.give_back(self)
        else:
            self.transport.close()

    def _fail(self, failure: Failure) -> None:
        listener, self._listener = self._listener, None
        self.transport.abort()
        if listener is not None:
            listener.connection = None
            listener.on_failure(failure)

    def eof_received(self) -> None:
        self._eof = True

    def connection_lost(self, error: Exception | None) -> None:
        self._pool.forget(self)
        listener = self._listener
        if listener is None:
            return
        self._listener = None
        listener.connection = None
        if self._reused and self._body is None and not self._head:
            # a kept-alive connection the upstream closed while we wrote: it has not seen the request
            self._pool.send_fresh(listener, self._request)
        elif isinstance(self._body, CloseBody) and self._eof and error is None:
            self._body.done = True
            _end(listener)
        else:
            listener.on_failure(
                Failure(502, "The upstream closed the connection before its answer was complete.", f"lost: {error}")
            )


@dataclass(slots=True)
class _Order:
    """A request that has no connection yet."""

    listener: Listener | None
    request: Sequence[bytes]

    def wanted_by(self) -> Listener | None:
        """Return who waits for it, if somebody still does."""
        return None if self.listener is None or self.listener.gone else self.listener


class Pool:
    """The connections to one upstream, and what every request to it begins with.

    Attributes:
        upstream: what was configured.
        adapter: how its kind is asked.
        credential: what it is shown.
        models: its names for models: the administrator's, then what is known of its cloud.
        prefix: path of the base URL, before every target.
        host: value of the Host header.
        head: the lines that are the same every time, but for the credential's.
        overridden: names of the upstream's own headers; a client's of the same name are not sent.

    Raises:
        ConfigurationError: the base URL is not usable.
    """

    def __init__(self, upstream: Upstream, limits: Limits, adapter: "Adapter") -> None:
        parts = place_of(upstream.base_url)
        self.upstream = upstream
        self.adapter = adapter
        self.models = {**upstream.known, **upstream.models}
        self.credential = upstream.credential or NO_CREDENTIAL
        self.prefix = upstream.prefix.encode("ascii")
        self.host = parts.netloc.encode("ascii")
        self.head, self.overridden = fixed_lines(upstream, self.host)
        self._limits = limits
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = (upstream.tls or usual_tls()) if parts.scheme == "https" else None
        self._idle: deque[Connection] = deque()
        self._waiting: deque[_Order] = deque()
        self._open = 0
        self._retired = False
        self._connecting: dict[asyncio.Task[None], _Order] = {}

    def send(self, listener: Listener, request: Sequence[bytes]) -> None:
        """Send ``request`` on an idle connection, a new one, or the next that becomes free."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                connection.start(listener, request, reused=True)
                return
        if self._open < self._limits.upstream_connections:
            self.send_fresh(listener, request)
        elif len(self._waiting) < self._limits.upstream_waiting:
            self._waiting.append(_Order(listener, request))
        else:
            listener.on_failure(Failure(529, "The gateway is at its limit of open requests.", "too many waiting"))

    def send_fresh(self, listener: Listener, request: Sequence[bytes]) -> None:
        """Send ``request`` on a new connection."""
        self._open += 1
        order = _Order(listener, request)
        task = asyncio.get_running_loop().create_task(self._connect(order))
        self._connecting[task] = order
        task.add_done_callback(self._connecting.pop)

    def withdraw(self, asked: Listener) -> None:
        """Forget a request that has no connection yet; whoever asked, also by a translator, turned elsewhere."""
        for order in (*self._waiting, *self._connecting.values()):
            listener = order.listener
            if listener is asked or (isinstance(listener, Translation) and listener.asked is asked):
                order.listener = None

    async def _connect(self, order: _Order) -> None:
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                connection = await self._opened()
        except Exception as error:  # noqa: BLE001  whatever failed, whoever waits must hear of it
            self._open -= 1
            listener = order.wanted_by()
            if listener is not None:
                listener.on_failure(_unreachable(self.upstream, error))
            return
        listener = order.wanted_by()
        if listener is None:
            self.give_back(connection)
        else:
            connection.start(listener, order.request, reused=False)

    async def _opened(self) -> Connection:
        """Return a new connection: to the first of the permitted addresses that takes it, or wherever the name leads.

        Raises:
            OSError: there is none.
        """
        loop = asyncio.get_running_loop()
        if self.upstream.addresses is None:
            places = [self._host]
        else:
            places = list(await self.upstream.addresses(self._host, self._port))
        name = self._host if self._tls is not None else None
        error = OSError("the name leads to no address")
        for place in places:
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self), place, self._port, ssl=self._tls, server_hostname=name
                )
            except OSError as failed:
                error = failed
            else:
                return connection
        raise error

    def give_back(self, connection: Connection) -> None:
        """Take a connection whose answer is complete; whoever waits longest gets it."""
        while self._waiting:
            order = self._waiting.popleft()
            listener = order.wanted_by()
            if listener is not None:
                connection.start(listener, order.request, reused=True)
                return
        if self._retired:
            connection.transport.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """Count a lost connection out, and open another for whoever waits."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        while self._waiting and self._open < self._limits.upstream_connections:
            order = self._waiting.popleft()
            listener = order.wanted_by()
            if listener is not None:
                self.send_fresh(listener, order.request)

    def close_idle(self, older_than: float) -> None:
        """Close connections that were given back before ``older_than`` (loop time)."""
        while self._idle and self._idle[0].idle_since < older_than:
            self._idle.popleft().transport.close()

    @property
    def unused(self) -> bool:
        """Whether nothing is open, being opened or waited for."""
        return self._open == 0 and not self._waiting

    def retire(self) -> None:
        """Take no connection back any more; what is under way is finished."""
        self._retired = True
        self.close_idle(float("inf"))

    def close(self) -> None:
        """Close every idle connection and give up those being opened."""
        self.close_idle(float("inf"))
        for task in list(self._connecting):
            task.cancel()


def _end(listener: Listener) -> None:
    """Tell that the answer is complete, its connection being free; a translator may find only then that it is none."""
    try:
        listener.on_end()
    except MalformedResponse as error:
        listener.on_failure(_malformed(error))


class _Elsewhere(MalformedResponse):
    """The upstream names another address: followed, credential and question would go wherever it likes."""


def _check_status(status: int) -> None:
    """Refuse what a relay cannot pass on: a client that followed it would take the gateway's key there."""
    if status == 101:
        raise MalformedResponse("it switches to a protocol nobody asked for")
    if 300 <= status < 400:
        raise _Elsewhere(f"it sends elsewhere ({status})")


def _malformed(error: MalformedResponse) -> Failure:
    if isinstance(error, _Elsewhere):
        said = "The upstream sends elsewhere, which is never followed. The gateway's operator must correct its address."
        return Failure(502, said, f"{error}, which is never followed")
    return Failure(502, "The upstream's answer is not valid HTTP.", f"malformed answer: {error}")


def _unreachable(upstream: Upstream, error: Exception) -> Failure:
    reason = "it did not answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    if isinstance(error, ssl.SSLError):
        reason = "its TLS certificate did not verify"
    return Failure(
        502,
        f"The gateway cannot reach its upstream {upstream.name!r}: {reason}. The operator of the gateway must look.",
        f"unreachable: {error!r}",
    )


def unusable(upstream: Upstream, error: Exception) -> Failure:
    """Return the failure of an upstream that cannot even be asked."""
    return Failure(
        503,
        f"The gateway cannot ask its upstream {upstream.name!r} at the moment. The operator of the gateway must look.",
        f"cannot be asked: {error}",
    )
