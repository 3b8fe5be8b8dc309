"""One request on the messages path, from its headers to its row in the ledger.

::

    admit()      headers read, caller known            raises Refusal
    take()       body arrives                          raises Refusal
    dispatch()   body scanned, sent upstream           raises Refusal
    on_head()  on_body()*  on_end() | on_failure()     from the upstream's connection
    client_lost()                                      any time
"""

import logging
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from keystead.server.gateway import request_head
from keystead.server.gateway.caller import Caller, authenticate
from keystead.server.gateway.refusals import Refusal
from keystead.server.gateway.upstream import Connection, Failure
from keystead.server.usage.record import UsageRecord
from keystead.wire import ids, model_scan
from keystead.wire.http1 import ResponseHead
from keystead.wire.usage import DocumentUsage, StreamUsage, TokenCounts, UsageReader

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_LOG: Final = logging.getLogger("keystead.gateway")

METERED: Final = {b"/v1/messages": True, b"/v1/messages/count_tokens": False}
"""The paths relayed raw, and whether an answer there is paid for by the token."""

_NOT_RELAYED: Final = frozenset(
    {
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
    }
)
"""Headers of the answer that are about the upstream's own connection, host or cookies."""


class Client(Protocol):
    """The connection a request came in on."""

    def write(self, data: bytes) -> None: ...

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
        "_caller",
        "_close",
        "_dechunk",
        "_facts",
        "_gateway",
        "_head",
        "_headers",
        "_method",
        "_path",
        "_pending",
        "_query",
        "_reader",
        "_size",
        "_started",
        "_started_at",
        "_status",
        "_streamed",
        "client",
        "connection",
        "dispatched",
        "gone",
        "id",
        "request_id",
    )

    def __init__(
        self, gateway: "Gateway", client: Client, method: bytes, target: bytes, headers: request_head.Headers
    ) -> None:
        self.client = client
        self.connection: Connection | None = None
        self.gone = False
        self.dispatched = False
        self.id: UUID = gateway.new_id()
        self.request_id = ids.dump("request", self.id)
        self._gateway = gateway
        self._method = method
        self._path, _, self._query = target.partition(b"#")[0].partition(b"?")
        self._headers = headers
        self._body: list[bytes] = []
        self._size = 0
        self._caller: Caller | None = None
        self._facts = model_scan.RequestFacts("", stream=False)
        self._reader: UsageReader | None = None
        self._started = gateway.monotonic()
        self._started_at = gateway.clock.now()
        self._status = 0
        self._streamed = False
        self._close = False
        self._pending = b""
        self._dechunk = False

    @property
    def admitted(self) -> bool:
        """Whether the caller is known and the headers are in order."""
        return self._caller is not None

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends the body."""
        return b"expect" in self._head.read

    def admit(self) -> None:
        """Check the headers and the caller, before any of the body is needed.

        Raises:
            Refusal: the request goes no further.
        """
        if self._method != b"POST":
            raise Refusal(405, "Only POST is supported at this address.", ("allow", "POST"))
        self._head = head = request_head.sort(self._headers)
        read = head.read
        caller = authenticate(
            self._gateway.directory, read.get(b"authorization"), read.get(b"x-api-key"), self._started_at
        )
        if (head.length or 0) > self._gateway.limits.body_bytes:
            raise self._too_large()
        if METERED[self._path] and self._gateway.ledger.saturated:
            raise _unwritable()
        self._caller = caller

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
        if self.overflowed:
            raise self._too_large()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        facts = model_scan.scan(body)
        if isinstance(facts, model_scan.BodyFault):
            raise Refusal(400, facts.reason)
        self._facts = facts
        self.dispatched = True
        self.client.awaiting(self._gateway.limits.first_byte_seconds)
        self._gateway.pool.send(self, (self._request_head(len(body)), body))

    def _request_head(self, length: int) -> bytes:
        pool = self._gateway.pool
        query = b"?" + self._query if self._query else b""
        return b"".join(
            (
                b"POST %b%b%b HTTP/1.1\r\n" % (pool.prefix, self._path, query),
                pool.head,
                *self._head.forward,
                b"content-length: %d\r\n\r\n" % length,
            )
        )

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        """Pass the upstream's head on, with our request id."""
        self._status = head.status
        self._streamed = head.content_type == b"text/event-stream"
        if METERED[self._path] and head.status < 400:
            self._reader = StreamUsage() if self._streamed else DocumentUsage()
        self._dechunk = head.chunked and self.client.is_old()
        unframed = not head.chunked and head.length is None and head.status not in (204, 304)
        self._close = self.client.closes_after() or self._dechunk or unframed
        lines = [b"HTTP/1.1 %d \r\n" % head.status]
        for name, value in head.headers:
            if name not in _NOT_RELAYED and not (self._dechunk and name == b"transfer-encoding"):
                lines += (name, b": ", value, b"\r\n")
        lines.append(b"x-request-id: %b\r\n" % self.request_id.encode())
        if self._caller is not None and self._caller.warning:
            lines.append(b"x-keystead-warning: %b\r\n" % self._caller.warning.encode())
        lines.append(b"connection: close\r\n\r\n" if self._close else b"\r\n")
        if more:
            self._pending = b"".join(lines)
        else:
            self.client.write(b"".join(lines))

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
        if self._reader is not None:
            self._reader.finish()
        self._record(aborted=False)
        self.client.finished(close=self._close)

    def on_failure(self, failure: Failure) -> None:
        """The upstream failed: say so if nothing of the answer has gone out, else cut the connection."""
        _LOG.warning("%s: upstream %s: %s", self.request_id, self._gateway.pool.upstream.name, failure.detail)
        if self._status:
            self._record(aborted=True)
            self.client.cut()
            return
        self._status = failure.status
        self._record(aborted=False)
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
            self._record(aborted=True)

    def _leave(self) -> None:
        self.gone = True
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abandon()

    def _record(self, *, aborted: bool) -> None:
        """Append this request's one row. Nothing that fails here may reach the client."""
        self.gone = True
        if not METERED[self._path] or self._caller is None:
            return
        try:
            self._gateway.ledger.append(self._usage(self._caller, aborted=aborted))
        except Exception:  # noqa: BLE001  the answer has gone out already; whatever failed is the operator's
            _LOG.exception("%s: the ledger took no record.", self.request_id)

    def _usage(self, caller: Caller, *, aborted: bool) -> UsageRecord:
        counts, estimated = self._counts(aborted=aborted)
        headers = dict(self._headers)
        principal = caller.principal
        return UsageRecord(
            id=self.id,
            request_id=self.request_id,
            organization_id=principal.organization_id,
            workspace_id=principal.workspace_id,
            member_id=principal.member_id,
            principal_kind=principal.kind.value,
            principal_id=principal.id,
            client=headers.get(b"user-agent", b"")[:200].decode("latin-1"),
            session_id=headers.get(b"x-claude-code-session-id", b"")[:200].decode("latin-1"),
            upstream=self._gateway.pool.upstream.name,
            model=self._facts.model,
            status=self._status,
            started_at=self._started_at,
            duration_ms=int((self._gateway.monotonic() - self._started) * 1000),
            input_tokens=counts.input,
            output_tokens=counts.output,
            cache_read_tokens=counts.cache_read,
            cache_write_tokens=counts.cache_write,
            streamed=self._streamed or self._facts.stream,
            aborted=aborted,
            estimated=estimated,
        )

    def _counts(self, *, aborted: bool) -> tuple[TokenCounts, bool]:
        """Return what the upstream counted or, of an aborted answer, at least what must have been used."""
        reader = self._reader
        if reader is not None and (reader.final or not aborted):
            return reader.counts, False
        if not aborted:
            return TokenCounts(), False
        counts = reader.counts if reader is not None else TokenCounts()
        if reader is None or not reader.seen:
            counts.input = self._size // 4
        counts.output = reader.floor() if reader is not None else 0
        return counts, True


def _unwritable() -> Refusal:
    return Refusal(
        503,
        "The gateway cannot write down what requests use at the moment, so it serves none. Try again shortly.",
        ("retry-after", "5"),
        log="the usage ledger is full: the database has not kept up",
    )
