"""What one request used, and its one row in the ledger."""

import logging
from typing import TYPE_CHECKING, Final

from keystead.server.gateway.ports import Kind, Span, Tracer, Upstream
from keystead.server.gateway.request_head import RequestHead
from keystead.server.policy import Principal
from keystead.server.usage.record import UsageRecord
from keystead.wire.http1 import ResponseHead
from keystead.wire.usage import TokenCounts, UsageReader

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_LOG: Final = logging.getLogger("keystead.gateway")
_NOWHERE: Final = Upstream("", "", Kind.MESSAGES, "")
EVENTS: Final = b"text/event-stream"
NOTHING: Final = TokenCounts()


class Metered:
    """The facts of a request that its row is made of; :class:`~keystead.server.gateway.exchange.Exchange` is one.

    Attributes:
        request_id: what the client and the ledger call this request.
        dispatched: it has gone upstream, so it ends in a row of the ledger.
        gone: nobody waits for an answer any more.
    """

    __slots__ = (
        "_first_byte",
        "_gateway",
        "_head",
        "_model",
        "_principal",
        "_reader",
        "_size",
        "_span",
        "_started",
        "_started_at",
        "_status",
        "_stream",
        "_streamed",
        "_upstream",
        "dispatched",
        "gone",
        "request_id",
    )

    _head: RequestHead

    def __init__(self, gateway: "Gateway") -> None:
        self.gone = False
        self.dispatched = False
        self.request_id = gateway.request_id()
        self._gateway = gateway
        self._principal: Principal | None = None
        self._upstream = _NOWHERE
        self._model = ""
        self._size = 0
        self._stream = False
        self._streamed = False
        self._status = 0
        self._first_byte = 0.0
        self._span: Span | None = None
        self._reader: UsageReader | None = None
        self._started = gateway.monotonic()
        self._started_at = gateway.now()

    def _read(self, head: ResponseHead) -> None:
        """Prepare to read the usage off the answer."""
        self._streamed = head.content_type == EVENTS
        if head.status < 400 and self._head.metered:
            written = self._head.format
            self._reader = written.stream() if self._streamed else written.document()

    def _record_abort(self, *, used: bool) -> None:
        """Write down what the upstream counted before the end or, if it did not, at least what must have been used.

        Args:
            used: whether anything can have been: nothing is by a request that was not sent, or that was refused.
        """
        reader = self._reader
        if not used:
            self._record(NOTHING, aborted=True)
            return
        if reader is not None and reader.final:
            self._record(reader.counts, aborted=True)
            return
        self._record(self._least(reader), aborted=True, estimated=True)

    def _least(self, reader: UsageReader | None) -> TokenCounts:
        """Return what must have been used at least, as far as nobody said what was."""
        counts = TokenCounts() if reader is None else reader.counts
        if reader is None or not reader.seen:
            counts.input = self._size // 4
        counts.output = 0 if reader is None else reader.floor()
        return counts

    def _traced(self, tracer: Tracer, head: RequestHead) -> RequestHead:
        """Begin a span, if the request is to have one; returns the head with what the upstream is told of it."""
        begun = tracer.begin(head.forward)
        if begun is None:
            return head
        lines, self._span = begun
        return head.forwarding(lines)

    def _record(self, counts: TokenCounts, *, aborted: bool = False, estimated: bool = False) -> None:
        """Append this request's one row. Nothing that fails here may reach the client."""
        self.gone = True
        principal, gateway, head = self._principal, self._gateway, self._head
        if principal is None or not head.metered:
            return
        seconds = gateway.monotonic() - self._started
        record = UsageRecord(  # by place: naming 25 fields would cost as much as checking the key
            self.request_id[-32:],
            self.request_id,
            principal.organization_id,
            principal.workspace_id,
            principal.member_id or "",
            principal.kind._value_,  # `value` is a property in Python, for the same text
            principal.id,
            head.client,
            head.session_id,
            self._upstream.name,
            self._model,
            self._status,
            self._started_at,
            int(seconds * 1000),
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
            self._upstream.kind._value_ if self.dispatched else "",
            None,
            counts.tariff,
        )
        try:
            record = gateway.allowances.settle(record)  # before the ledger, which says when it has what is settled
        except Exception:  # noqa: BLE001  as below
            _LOG.exception("%s: what it used is not counted towards limits.", self.request_id)
        try:
            gateway.ledger.append(record)
        except Exception:  # noqa: BLE001  the answer has gone out already; whatever failed is the operator's
            _LOG.exception("%s: the ledger took no record.", self.request_id)
        try:
            if gateway.observer is not None:
                gateway.observer.finished(record, seconds, self._first_byte)
            if self._span is not None and gateway.tracer is not None:
                gateway.tracer.end(self._span, record, seconds, self._first_byte)
        except Exception:  # noqa: BLE001  as above
            _LOG.exception("%s: it is missing in metrics and traces.", self.request_id)
