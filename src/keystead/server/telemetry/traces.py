"""Traces of gateway requests: W3C Trace Context in, OpenTelemetry's GenAI conventions out, as OTLP in JSON.

A request costs a draw and, when it is traced, a line of its head; spans are written out and sent in the background.
They hold who was asked for what model, for how long and for how many tokens; never anything of what was said.
"""

import contextlib
import json
import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from keystead import __version__
from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings
from keystead.server.telemetry.collectors import Collectors
from keystead.server.telemetry.otlp_schema import is_word
from keystead.server.telemetry.relay import Body
from keystead.server.usage.record import UsageRecord

EVERY: Final = 2.0
"""Seconds between two rounds of sending."""
BATCH: Final = 512
MOST: Final = 20_000
"""Spans that wait at most; of more the oldest are dropped."""

_LINE: Final = re.compile(rb"^traceparent: ([^\r\n]*)\r\n", re.MULTILINE)
_STATE: Final = re.compile(rb"^tracestate: [^\r\n]*\r\n", re.MULTILINE)
_PARENT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_DRAWN: Final = 56
"""Bits at the end of a trace's identifier that are drawn by chance (Trace Context Level 2), and decide."""

_PROVIDERS: Final = {
    "anthropic": "anthropic",
    "aws": "anthropic",
    "messages": "anthropic",
    "bedrock": "aws.bedrock",
    "vertex": "gcp.vertex_ai",
    "foundry": "azure.ai.inference",
    "openai": "openai",
}
"""``gen_ai.provider.name`` by the kind of an upstream; without one we answered ourselves."""

Span = tuple[str, str, str]
"""Identifiers of the trace, of the span, and of the span that it continues or nothing; in hex."""


class _Ended(NamedTuple):
    span: Span
    record: UsageRecord
    seconds: float
    first_byte: float


class Tracer:
    """Begins and ends spans; implements :class:`~keystead.server.gateway.ports.Tracer`.

    Args:
        ratio: the part of all traces that is sampled, from 0 to 1.
        offer: takes what is to be sent.
        bits: draws so many bits.
    """

    def __init__(
        self, ratio: float, offer: Callable[[Body], None], bits: Callable[[int], int] = random.getrandbits
    ) -> None:
        self._below = round(ratio * 2**_DRAWN)
        self._offer = offer
        self._bits = bits
        self._ended: deque[_Ended] = deque(maxlen=MOST)

    def begin(self, forward: bytes) -> tuple[bytes, Span] | None:
        """Return the header lines for the upstream and the span, or None when this request is not traced.

        The caller's trace is continued, unless it says that it is not sampled. Which traces are sampled follows from
        their identifiers, so that every service that goes by the same ratio takes the same ones.
        """
        parent = _parent(forward)
        trace = self._bits(128) or 1 if parent is None else int(parent[0], 16)
        if trace % 2**_DRAWN >= self._below or (parent is not None and not parent[2]):
            return None
        span = f"{trace:032x}", f"{self._bits(64) or 1:016x}", "" if parent is None else parent[1]
        rest = _LINE.sub(b"", forward)
        if parent is None:
            rest = _STATE.sub(b"", rest)
        return b"%btraceparent: 00-%b-%b-01\r\n" % (rest, span[0].encode(), span[1].encode()), span

    def end(self, span: Span, record: UsageRecord, seconds: float, first_byte: float) -> None:
        """Take what is known of a request that has ended."""
        self._ended.append(_Ended(span, record, seconds, first_byte))

    def send(self) -> None:
        """Write out and send what has ended; called by one thread at a time."""
        while batch := list(islice(self._taken(), BATCH)):
            self._offer(Body("traces", "application/json", "", json.dumps(_document(batch)).encode()))

    def _taken(self) -> Iterator[_Ended]:
        with contextlib.suppress(IndexError):
            while True:
                yield self._ended.popleft()


def _parent(forward: bytes) -> tuple[str, str, bool] | None:
    """Return trace, span and whether it is sampled; None when there is no parent, or none that can be read."""
    lines = _LINE.findall(forward)
    found = _PARENT.fullmatch(lines[0].strip()) if len(lines) == 1 else None
    if found is None or (found[1] == b"00" and found[5]) or not int(found[2], 16) or not int(found[3], 16):
        return None
    return found[2].decode(), found[3].decode(), bool(int(found[4], 16) & 1)


@contextlib.contextmanager
def running(settings: ServerSettings, collectors: Collectors) -> Iterator[Tracer | None]:
    """Give what traces requests for the block, or None when nothing is to be traced."""
    if not checked(settings):
        yield None
        return
    tracer = Tracer(settings.trace_ratio, collectors.offer)
    try:
        yield tracer
    finally:
        tracer.send()


def checked(settings: ServerSettings) -> bool:
    """Return whether requests are traced.

    Raises:
        ConfigurationError: the ratio is none, or nobody would get the traces.
    """
    if not 0 <= settings.trace_ratio <= 1:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_TRACE_RATIO is not a number from 0 to 1.",
            hint="Set it to 0.01 to trace one request of a hundred.",
            move="operator",
        )
    if settings.trace_ratio and not settings.otlp_endpoints.strip():
        raise ConfigurationError(
            "KEYSTEAD_SERVER_TRACE_RATIO is set, but there is no collector that would get the traces.",
            hint="Set KEYSTEAD_SERVER_OTLP_ENDPOINTS too, or the ratio to 0.",
            move="operator",
        )
    return settings.trace_ratio > 0


def _document(batch: Sequence[_Ended]) -> dict[str, Any]:
    """Return an ExportTraceServiceRequest in OTLP's JSON."""
    resource = _attributes({"service.name": "keystead", "service.version": __version__})
    scope = {"name": "keystead.gateway", "version": __version__}
    spans = [_span(one) for one in batch]
    return {"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"scope": scope, "spans": spans}]}]}


def _span(ended: _Ended) -> dict[str, Any]:
    (trace, span, parent), record = ended.span, ended.record
    start = int(record.started_at * 1e9)
    failure = str(record.status) if record.status >= 400 or not record.status else "aborted" if record.aborted else ""
    return {
        "traceId": trace,
        "spanId": span,
        **({"parentSpanId": parent} if parent else {}),
        "name": f"chat {_word(record.model)}".strip(),
        "kind": 3,  # CLIENT, as the conventions ask of whoever calls a model
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(ended.seconds * 1e9)),
        "attributes": _attributes(_facts(ended) | ({"error.type": failure} if failure else {})),
        "status": {"code": 2} if failure else {},
    }


def _facts(ended: _Ended) -> dict[str, str | int | float | bool]:
    """Return the attributes of a span; the conventions' input tokens include those of the cache."""
    record = ended.record
    facts: dict[str, str | int | float | bool] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(record.upstream_kind, "keystead"),
        "gen_ai.request.model": _word(record.model),
        "gen_ai.request.stream": record.streamed,
        "gen_ai.conversation.id": _word(record.session_id),
        "gen_ai.usage.input_tokens": record.input_tokens + record.cache_read_tokens + record.cache_write_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": record.cache_write_tokens,
        "http.response.status_code": record.status,
        "keystead.organization.id": record.organization_id,
        "keystead.request.id": record.request_id,
        "keystead.upstream.name": record.upstream,
        "keystead.usage.estimated": record.estimated,
    }
    if record.streamed and ended.first_byte:
        facts["gen_ai.response.time_to_first_chunk"] = ended.first_byte
    return {name: value for name, value in facts.items() if value != ""}


def _word(chosen: str) -> str:
    """Return what a client chose, or nothing where it is no name: it can be anything, what was said included."""
    return chosen if is_word(chosen) else ""


def _attributes(facts: dict[str, str | int | float | bool]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in facts.items()]


def _value(value: str | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
