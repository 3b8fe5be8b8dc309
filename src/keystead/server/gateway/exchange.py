"""One request on the messages path, from its headers to its row in the ledger.

::

    admit()      headers read, caller known            raises Refusal
    take()       body arrives                          raises Refusal
    dispatch()   body scanned, model allowed, sent     raises Refusal
    on_answer()                                        the whole answer in one piece, from the upstream's connection
    on_head()  on_body()*  on_end() | on_failure()     the same in pieces
    client_lost()                                      any time
"""

import logging
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from keystead.server.gateway import choice, models
from keystead.server.gateway.caller import of_request
from keystead.server.gateway.refusals import Refusal
from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.upstream import Connection, Failure
from keystead.server.policy import Principal
from keystead.server.usage.record import UsageRecord
from keystead.wire import model_scan
from keystead.wire.http1 import ResponseHead
from keystead.wire.usage import DocumentUsage, StreamUsage, TokenCounts, UsageReader, document_counts

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_LOG: Final = logging.getLogger("keystead.gateway")
_EVENTS: Final = b"text/event-stream"
_NOTHING: Final = TokenCounts()

_NOT_RELAYED: Final = (
    b"alt-svc",
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-connection",
    b"set-cookie",
    b"strict-transport-security",
    b"trailer",
    b"upgrade",
    b"x-request-id",
)
"""Headers of the answer that are about the upstream's own connection, host or cookies."""


def _lines_of(names: Iterable[bytes]) -> "re.Pattern[bytes]":
    """Return what matches each header line of these names, from its line break on."""
    return re.compile(rb"\r\n(?:%b):[^\r\n]*" % b"|".join(names), re.IGNORECASE)


_UNWANTED: Final = _lines_of(_NOT_RELAYED)
_UNWANTED_WITHOUT_CHUNKS: Final = _lines_of([*_NOT_RELAYED, b"transfer-encoding"])


class Client(Protocol):
    """The connection a request came in on."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Send bytes to the client; the transport's own method, without a step between."""

    def awaiting(self, seconds: float) -> None:
        """Expect the next sign of life within ``seconds``."""

    def closes_after(self) -> bool:
        """Return whether the connection ends with this answer."""

    def is_old(self) -> bool:
        """Return whether the client speaks HTTP/1.0, which knows no chunks."""

    def refuse(self, refusal: Refusal) -> None:
        """Answer by ourselves."""

    def finished(self, *, close: bool) -> None:
        """The answer is complete."""

    def cut(self) -> None:
        """End the connection in a way that cannot be taken for a complete answer."""


class Exchange:
    """One request and its answer. Implements :class:`~keystead.server.gateway.upstream.Listener`.

    Attributes:
        request_id: what the client and the ledger call this request.
        dispatched: it has gone upstream, so it ends in a row of the ledger.
    """

    __slots__ = (
        "_body",
        "_close",
        "_dechunk",
        "_gateway",
        "_head",
        "_model",
        "_pending",
        "_principal",
        "_reader",
        "_size",
        "_started",
        "_started_at",
        "_status",
        "_stream",
        "_streamed",
        "_upstream",
        "_warning",
        "client",
        "connection",
        "dispatched",
        "gone",
        "request_id",
    )

    def __init__(self, gateway: "Gateway", client: Client) -> None:
        self.client = client
        self.connection: Connection | None = None
        self.gone = False
        self.dispatched = False
        self.request_id = gateway.request_id()
        self._gateway = gateway
        self._body: list[bytes] = []
        self._size = 0
        self._principal: Principal | None = None
        self._warning = ""
        self._model = ""
        self._stream = False
        self._reader: UsageReader | None = None
        self._started = gateway.monotonic()
        self._started_at = gateway.now()
        self._status = 0
        self._streamed = False
        self._close = False
        self._pending = b""
        self._upstream = ""
        self._dechunk = False

    @property
    def admitted(self) -> bool:
        """Whether the caller is known and the headers are in order."""
        return self._principal is not None

    def admit(self, head: RequestHead, length: int) -> None:
        """Check the caller, before any of the body is needed.

        Args:
            head: what was asked, and by whom.
            length: of the body, or 0 while that is unknown.

        Raises:
            Refusal: the request goes no further.
        """
        gateway = self._gateway
        caller = of_request(gateway, head.read, (b"POST", head.target), self._started_at)
        if length > gateway.limits.body_bytes:
            raise self._too_large()
        if head.metered and gateway.ledger.saturated:
            raise _unwritable()
        self._head = head
        self._principal, self._warning = caller

    def take(self, data: bytes) -> None:
        """Take a piece of the body; what is over the limit is not kept, and :meth:`dispatch` refuses it."""
        self._size += len(data)
        if self._size <= self._gateway.limits.body_bytes:
            self._body.append(data)

    @property
    def overflowed(self) -> bool:
        """Whether more of the body arrived than is accepted."""
        return self._size > self._gateway.limits.body_bytes

    def _too_large(self) -> Refusal:
        return Refusal(413, f"The request body is larger than {self._gateway.limits.body_bytes} bytes. Send less.")

    def dispatch(self) -> None:
        """Send the complete request upstream.

        Raises:
            Refusal: the body cannot be relayed.
        """
        gateway, head = self._gateway, self._head
        if self._size > gateway.limits.body_bytes:
            raise self._too_large()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        facts = model_scan.scan(body)
        if isinstance(facts, model_scan.BodyFault):
            raise Refusal(400, facts.reason)
        self._model, self._stream, _ = facts
        principal = self._check(facts)
        self.dispatched = True
        self.client.awaiting(gateway.limits.first_byte_seconds)
        pool = gateway.pools.of(choice.of_caller(gateway, principal)[0])
        adapter, self._upstream = pool.adapter, pool.upstream.name
        request = adapter.prepare(pool, head, facts, body)
        pool.send(self if adapter.translated is None else adapter.translated(self, facts), request)

    def _check(self, facts: model_scan.RequestFacts) -> Principal:
        """Return the caller; refuse a model that is not theirs to use, and write that down.

        Raises:
            Refusal: 400, it is not; 503, that cannot be known now.
        """
        principal = self._principal
        if principal is None:
            raise RuntimeError("dispatched before it was admitted")
        access = models.access_of(self._gateway, principal)
        refused = None if access is None else models.outside(access, facts)
        if refused is not None:
            self._model, self._status = refused, 400
            self._record(_NOTHING)
            raise models.not_allowed(refused)
        return principal

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """Pass an answer on that came in one piece, in one piece."""
        client = self.client
        client.write(self._open(head) + body)
        if head.content_type == _EVENTS:
            self._read(head)
            if self._reader is not None:
                self._reader.feed(body)
            self.on_end()
            return
        counts = document_counts(body) if head.status < 400 and self._head.metered else None
        self._record(counts or _NOTHING)
        client.finished(close=self._close)

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        """Pass the upstream's head on, with our request id."""
        lines = self._open(head)
        self._read(head)
        if more:
            self._pending = lines
        else:
            self.client.write(lines)

    def _open(self, head: ResponseHead) -> bytes:
        """Begin the answer; returns its head for the client."""
        client = self.client
        self._status = status = head.status
        unframed = False
        if head.length is None:
            self._dechunk = head.chunked and client.is_old()
            unframed = self._dechunk or not (head.chunked or head.bodiless)
        fields = (_UNWANTED_WITHOUT_CHUNKS if self._dechunk else _UNWANTED).sub(b"", head.fields)
        if self._warning:
            fields += b"\r\nx-keystead-warning: %b" % self._warning.encode()
        self._close = unframed or client.closes_after()
        if self._close:
            fields += b"\r\nconnection: close"
        return b"HTTP/1.1 %d %b\r\nx-request-id: %b\r\n\r\n" % (status, fields, self.request_id.encode())

    def _read(self, head: ResponseHead) -> None:
        """Prepare to read the usage off the answer."""
        self._streamed = head.content_type == _EVENTS
        if head.status < 400 and self._head.metered:
            self._reader = StreamUsage() if self._streamed else DocumentUsage()

    def on_body(self, raw: bytes, payload: bytes) -> None:
        """Pass a piece of the answer on, then look at it."""
        data = payload if self._dechunk else raw
        if self._pending:
            data, self._pending = self._pending + data, b""
        self.client.write(data)
        self.client.awaiting(self._gateway.limits.silence_seconds)
        if self._reader is not None and payload:
            self._reader.feed(payload)

    def on_end(self) -> None:
        """The answer is complete: write it down."""
        reader = self._reader
        if reader is not None:
            reader.finish()
        self._record(_NOTHING if reader is None else reader.counts)
        self.client.finished(close=self._close)

    def on_failure(self, failure: Failure) -> None:
        """The upstream failed: say so if nothing of the answer has gone out, else cut the connection."""
        _LOG.warning("%s: upstream %s: %s", self.request_id, self._upstream, failure.detail)
        if self._status:
            self._record_abort()
            self.client.cut()
            return
        self._status = failure.status
        self._record(_NOTHING)
        self.client.refuse(Refusal(failure.status, failure.message))

    def time_out(self) -> None:
        """The upstream has been silent for too long."""
        self._leave()
        self.on_failure(Failure(504, "The upstream did not answer in time.", "silent for too long"))

    def client_lost(self) -> None:
        """The client went away: stop the upstream's work and count what was used."""
        if self.gone:
            return
        self._leave()
        if self.dispatched:
            self._status = self._status or 499
            self._record_abort()

    def _leave(self) -> None:
        self.gone = True
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abandon()

    def _record_abort(self) -> None:
        """Write down what the upstream counted before the end or, if it did not, at least what must have been used."""
        reader = self._reader
        if reader is not None and reader.final:
            self._record(reader.counts, aborted=True)
            return
        counts = TokenCounts() if reader is None else reader.counts
        if reader is None or not reader.seen:
            counts.input = self._size // 4
        counts.output = 0 if reader is None else reader.floor()
        self._record(counts, aborted=True, estimated=True)

    def _record(self, counts: TokenCounts, *, aborted: bool = False, estimated: bool = False) -> None:
        """Append this request's one row. Nothing that fails here may reach the client."""
        self.gone = True
        principal, gateway, head = self._principal, self._gateway, self._head
        if principal is None or not head.metered:
            return
        record = UsageRecord(  # by place: naming 24 fields would cost as much as checking the key
            self.request_id[-32:],
            self.request_id,
            principal.organization_id,
            principal.workspace_id,
            principal.member_id or "",
            principal.kind._value_,  # `value` is a property in Python, for the same text
            principal.id,
            head.client,
            head.session_id,
            self._upstream,
            self._model,
            self._status,
            self._started_at,
            int((gateway.monotonic() - self._started) * 1000),
            counts.input,
            counts.output,
            counts.cache_read,
            counts.cache_write,
            self._streamed or self._stream,
            aborted,
            estimated,
            principal.service_account_id or "",
            counts.cache_write_1h,
            counts.web_searches,
        )
        try:
            gateway.ledger.append(record)
        except Exception:  # noqa: BLE001  the answer has gone out already; whatever failed is the operator's
            _LOG.exception("%s: the ledger took no record.", self.request_id)


def _unwritable() -> Refusal:
    return Refusal(
        503,
        "The gateway cannot write down what requests use at the moment, so it serves none. Try again shortly.",
        ("retry-after", "5"),
        log="the usage ledger is full: the database has not kept up",
    )
