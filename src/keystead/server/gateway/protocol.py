"""The server's own HTTP protocol: the messages path is relayed raw, what somebody answers quickly is asked without
ASGI, everything else goes uvicorn's ordinary way.

Coupling to uvicorn, pinned by ``tests/contract/upstreams/test_pages.py``: the parser's callbacks
(``on_message_begin`` … ``on_message_complete``), ``send_400_response``, ``shutdown``, ``STATUS_LINE``, and the
attributes ``parser``, ``transport``, ``url``, ``headers``, ``client``, ``cycle``, ``server_state`` with its
``default_headers``, and ``on_response_complete`` with ``flow``.
"""

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from keystead.server.gateway import clients
from keystead.server.gateway.exchange import Exchange
from keystead.server.gateway.known_head import KnownHead
from keystead.server.gateway.ports import Answered, Ask
from keystead.server.gateway.refusals import Refusal, render
from keystead.server.gateway.request_head import Headers, RequestHead
from keystead.server.gateway.routes import ROUTES

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LINGER_BYTES: Final = 1 << 20
_VERSIONS: Final = ("1.1", "1.0")
_FRAMING_EACH: Final = 8
"""Bytes of framing that each byte of a body may cost; chunks of a single byte cost five more."""


class GatewayProtocol(HttpToolsProtocol):
    """One client connection. Implements :class:`~keystead.server.gateway.client.Client`."""

    def __init__(
        self,
        gateway: "Gateway",
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._gateway = gateway
        self.timeout_keep_alive = int(gateway.limits.keep_alive_seconds)  # after what uvicorn has answered, too
        self._exchange: Exchange | None = None
        self._known: KnownHead | None = None
        self._ask: Ask | None = None
        self._body = self._held = b""
        self._between = True
        self._segment = b""
        self.deadline = math.inf
        self._in_head = False
        self._unfinished = 0
        self._arrived = 0
        self._surplus = False
        self._complete = False
        self._keep_alive = True
        self._version = "1.1"
        self._closing = False
        self._leaving = False
        self.url = b""
        self.headers = []
        self._discarded = 0
        self._left = 0

    # -- from the network ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.write: Callable[[bytes], None] = transport.write
        self._gateway.watch(self)
        self.awaiting(self._gateway.limits.head_seconds)

    def data_received(self, data: bytes) -> None:
        if self._closing or (self._exchange is not None and self._exchange.dispatched):
            self._discard(len(data))
            return
        if self._ask is not None:
            self.transport.pause_reading()  # one request after the other
            self._held += data
            return
        if self._exchange is not None and self._left:
            self._take(self._exchange, data)
            return
        if self._known is not None and self._exchange is None:
            begins = self._known.begins(data)
            if begins is not None:
                length, start = begins
                self._repeat(self._known.head, length, data[start:])
                return
            self._known = None
        if self._between and self._is_answering():
            self.flow.pause_reading()  # to the client the answer may be whole while whoever gives it has not ended yet
            self._held += data
            return
        self._segment = data if self._between else b""
        super().data_received(data)
        self._arrived += len(data)
        if self._ask is not None and not self._closing:
            self._ask(self._body, self._tell)
        elif self._exchange is not None and not self._closing:
            self._advance(self._exchange)
        elif not self._closing:
            self._check_head_size(len(data) if self._in_head else 0)
        self._segment = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self._gateway.forget(self)
        super().connection_lost(exc)
        self._ask = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._exchange is not None and self._exchange.connection is not None:
            self._exchange.connection.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._exchange is not None and self._exchange.connection is not None:
            self._exchange.connection.resume()

    def _discard(self, size: int) -> None:
        """Take bytes that come while an answer is under way, or after it: read, but not acted upon.

        A second request sent before the first is answered (pipelining) ends with the connection; the client
        sends it again on another. Reading on keeps a reset from destroying the answer on its way.
        """
        self._surplus = True
        self._discarded += size
        if self._discarded > _LINGER_BYTES and self.transport.is_reading():
            # Not cut off: the reset would overtake the answer, and a proxy that sends on before it reads says 502.
            self.transport.pause_reading()

    def on_response_complete(self) -> None:
        """Uvicorn has answered: go on with what has come meanwhile."""
        super().on_response_complete()
        if self._leaving:
            self.awaiting(self._gateway.limits.farewell_seconds)
        held, self._held = self._held, b""
        if held and not self.transport.is_closing():
            self.data_received(held)

    # -- from the parser -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._between = False
        if self._exchange is not None:
            self._surplus = True
            return
        self.url = b""
        self.headers = []
        self._in_head = True
        self._unfinished = self._arrived = 0
        self._complete = False
        self.awaiting(self._gateway.limits.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer says nothing that is acted upon, whoever answers
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        self._in_head = False
        if self._head_is_large():
            return
        path = self.url.partition(b"?")[0].partition(b"#")[0]
        if path not in ROUTES and not clients.is_own(path):
            self._ask = self._quickly()
            if self._ask is None:
                self._hand_over()
        elif self._is_answering():
            self.cycle.keep_alive = False
            self._surplus = True
        else:
            self._version = self.parser.get_http_version()
            self._keep_alive = self.parser.should_keep_alive() and not self.is_old()
            gateway = self._gateway
            self._exchange = Exchange(gateway, self) if path in ROUTES else clients.begin(gateway, self, path)
            self.awaiting(gateway.limits.body_seconds)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _quickly(self) -> Ask | None:
        """Return what answers this request without ASGI: one that is whole, in order, and alone in its segment."""
        end = self._segment.find(b"\r\n\r\n")
        parser = self.parser
        if end < 0 or self._closing or self._leaving or self._is_answering() or parser.get_method() != b"POST":
            return None
        if parser.get_http_version() != "1.1" or parser.should_upgrade() or not parser.should_keep_alive():
            return None
        self._body, self._keep_alive = b"", True
        peer = self.client[0] if self.client else None
        return self._gateway.quick(self.url, self.headers, peer, len(self._segment) - end - 4)

    def _hand_over(self) -> None:
        """Give the request to uvicorn, which builds its scope when a message begins."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        self.awaiting(self._gateway.limits.body_seconds)
        super().on_headers_complete()
        if self._leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        if self._ask is not None:
            self._body += body
        elif self._exchange is not None:
            if not self._surplus:
                self._exchange.take(body)
        elif not self._surplus and not self._head_is_large():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._between = True
        if self._ask is not None:
            self.deadline = math.inf
        elif self._exchange is not None:
            self._complete = True
        elif not self._surplus and not self._head_is_large():
            self.deadline = math.inf  # whoever answers now has their own
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser refused, with the envelope every other refusal has."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()
        else:
            self.refuse(
                Refusal(400, f"{msg.rstrip('.')}: it is malformed, or could be understood in two ways."), close=True
            )

    # -- what is answered quickly --------------------------------------------------------------------------------

    def _tell(self, answer: Answered) -> None:
        """Send an answer as uvicorn would, then go on with what has come meanwhile."""
        if self._ask is None:
            return  # whoever asked has gone
        self._ask = None
        lines = [b"%b: %b\r\n" % line for line in self.server_state.default_headers]
        close = b"connection: close\r\n" if self.closes_after() else b""
        self.write(b"".join([STATUS_LINE[answer.status], *lines, answer.head, close, b"\r\n", answer.body]))
        self.server_state.total_requests += 1
        if close:
            self.transport.close()
            return
        self.awaiting(self._gateway.limits.keep_alive_seconds)
        held, self._held = self._held, b""
        if held:
            self.transport.resume_reading()
            self.data_received(held)

    # -- the relay -----------------------------------------------------------------------------------------------

    def _advance(self, exchange: Exchange) -> None:
        """Bring the request as far as what has arrived of it allows."""
        try:
            if self.parser.should_upgrade():
                raise Refusal(400, "The Upgrade header is not supported at this address.")
            if self._version not in _VERSIONS or (self._version == "1.0" and _has_coding(self.headers)):
                raise Refusal(400, "The version of HTTP is none that such a request can have. Send HTTP/1.1.")
            if self._surplus:
                raise _pipelined()
            if self._arrived > 2 * self._gateway.limits.head_bytes + _FRAMING_EACH * exchange.size:
                raise Refusal(400, "The request's body is nearly all framing. Send larger chunks, and few trailers.")
            if not exchange.admitted:
                self._admit(exchange)
            if self._complete or exchange.overflowed:
                exchange.dispatch()
        except Refusal as refusal:
            odd = not exchange.admitted and refusal.status == 400  # who knows what else its sender gets wrong
            self.refuse(refusal, close=odd or not self._complete)

    def _admit(self, exchange: Exchange) -> None:
        head = exchange.head_of(self.parser.get_method(), self.url, self.headers)
        exchange.admit(head, head.length or 0)
        if b"expect" in head.read and not self._complete:
            self.transport.write(_CONTINUE)
        if self._segment and not self.closes_after():
            self._known = KnownHead.of(self._segment, head)

    def _repeat(self, head: RequestHead, length: int, begun: bytes) -> None:
        """Begin a request whose head is the last one's: everything the parser would say of it is known."""
        exchange = self._exchange = Exchange(self._gateway, self)
        try:
            exchange.admit(head, length)
        except Refusal as refusal:
            self.refuse(refusal, close=len(begun) < length)
            return
        self._left = length
        if len(begun) < length:
            self.awaiting(self._gateway.limits.body_seconds)
        if begun or not length:
            self._take(exchange, begun)

    def _take(self, exchange: Exchange, data: bytes) -> None:
        """Take more of the body of such a request, and send it on when that is all."""
        self._left -= len(data)
        try:
            if self._left < 0:
                raise _pipelined()
            exchange.take(data)
            if not self._left:
                self._complete = True
                exchange.dispatch()
        except Refusal as refusal:
            self.refuse(refusal, close=not self._complete)

    def _head_is_large(self) -> bool:
        limits, headers = self._gateway.limits, self.headers
        if self._in_head:
            size = self._unfinished
        else:
            size = len(self.url) + sum([len(name) + len(value) for name, value in headers])
        return size > limits.head_bytes or len(headers) > limits.header_count

    def _check_head_size(self, unfinished: int) -> None:
        """Refuse a head that is too large; ``unfinished`` more bytes of it went to the parser."""
        self._unfinished += unfinished
        if self._head_is_large():
            self.refuse(Refusal(431, "The request's headers are too large, or too many. Send fewer."), close=True)

    def awaiting(self, seconds: float) -> None:
        self.deadline = self.loop.time() + seconds

    @property
    def answering(self) -> bool:
        """Whether a request of this connection is upstream."""
        return self._exchange is not None and self._exchange.dispatched

    @property
    def arriving(self) -> tuple[str, int] | None:
        """Whose body is arriving, and how many bytes of it are here; None where none is."""
        exchange = self._exchange
        return None if exchange is None or exchange.dispatched else (exchange.caller_id, exchange.size)

    def give_up(self) -> None:
        """Refuse the request whose body is arriving: there is no room for it."""
        self.refuse(_crowded(), close=True)

    def closes_after(self) -> bool:
        return self._surplus or not self._keep_alive or self._leaving

    def is_old(self) -> bool:
        return self._version != "1.1"

    def refuse(self, refusal: Refusal, *, close: bool = False) -> None:
        """Answer by ourselves; ``close`` when the rest of the request must not be read as another one."""
        exchange = self._exchange
        if exchange is None:
            request_id, said = self._gateway.request_id(), render
        else:
            request_id, said = exchange.request_id, exchange.rendered
        self._gateway.note(request_id, refusal)
        close = close or self.closes_after()
        head_only = self.parser is not None and self.parser.get_method() == b"HEAD"
        self.transport.write(said(refusal, request_id, keep_alive=not close, head_only=head_only))
        self.finished(close=close)

    def finished(self, *, close: bool) -> None:
        self._exchange = None
        self.server_state.total_requests += 1
        if close or self._surplus or not self._keep_alive:
            self._linger()
        else:
            limits, self._complete = self._gateway.limits, False
            self.awaiting(limits.farewell_seconds if self._leaving else limits.keep_alive_seconds)

    def cut(self) -> None:
        self._exchange = None
        self.transport.abort()

    def _linger(self) -> None:
        """Close once the client has had the chance to read the answer (RFC 9112 section 9.6)."""
        self._closing = True
        self.awaiting(self._gateway.limits.linger_seconds)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    # -- time and shutdown ---------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        self.deadline = math.inf
        exchange = self._exchange
        if exchange is not None and exchange.dispatched:
            exchange.time_out()
        elif exchange is not None or (self._in_head and not self._closing):
            self.refuse(_late(), close=True)
        elif not self._between and not self._closing:
            self._withdraw()
        else:
            self.transport.close()

    def _withdraw(self) -> None:
        """Take back a request that was handed over and whose body did not arrive in time."""
        cycle = self.cycle
        if cycle is None or cycle.response_started:
            self.transport.close()
            return
        cycle.disconnected = True
        cycle.message_event.set()
        self.refuse(_late(), close=True)

    def shutdown(self) -> None:
        """Finish what is under way, and say with each head from now on that the connection ends.

        One that is idle stays a moment: a proxy may be sending a request on it just now, and may not send that again
        by itself, since for all it knows a model has answered it.
        """
        self._leaving, self._known = True, None
        if self._is_answering():
            self.cycle.keep_alive = self.cycle.keep_alive and self.cycle.response_started
        elif self._between and self._exchange is None and self._ask is None and not self._closing:
            self.awaiting(self._gateway.limits.farewell_seconds)


def _has_coding(headers: Headers) -> bool:
    return any(name == b"transfer-encoding" for name, _ in headers)


def _pipelined() -> Refusal:
    return Refusal(400, "A second request was sent before the first was answered (pipelining). Wait for it.")


def _crowded() -> Refusal:
    return Refusal(529, "Too many large requests are arriving at once. Try again shortly.", ("retry-after", "5"))


def _late() -> Refusal:
    return Refusal(408, "The request did not arrive in time. Send it again.")
