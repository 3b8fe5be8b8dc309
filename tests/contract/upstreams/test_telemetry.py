"""What agents tell of themselves, from their request to the operator's collector."""

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from collector import FakeCollector
from otlp import attributes, decoded, encoded, everything, owners, resources
from tests.contract.upstreams.conftest import question

from keystead.server.gateway.otlp import LARGEST, SIGNALS
from keystead.server.observation import carrying
from keystead.server.policy import Principal
from keystead.server.telemetry.collectors import OVERHEAD, Collector, Collectors, Endpoint
from keystead.server.telemetry.traces import Span, Tracer
from keystead.server.usage.record import UsageRecord

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Answer, Running

PROTOBUF, JSON = "application/x-protobuf", "application/json"
LOGS = encoded(everything("/v1/logs"), JSON)
WHOSE = {"keystead.organization.id": "org_1", "keystead.workspace.id": "wrk_1", "keystead.member.id": "mem_1"}


@pytest.fixture
def fake() -> Iterator[FakeCollector]:
    with FakeCollector() as running:
        yield running


@pytest.fixture
def collectors(fake: FakeCollector) -> Iterator[Collectors]:
    one = Collectors([Collector(Endpoint("http", "127.0.0.1", fake.port), lambda *_: 0.0)])
    yield one
    one.close()


class Watched(Tracer):
    """The real one, and a way to wait for the end of a request."""

    def __init__(self, collectors: Collectors) -> None:
        super().__init__(1.0, collectors.offer)
        self._one = threading.Event()

    def end(self, span: Span, record: UsageRecord, seconds: float, first_byte: float) -> None:
        super().end(span, record, seconds, first_byte)
        self._one.set()

    def wait(self) -> None:
        assert self._one.wait(60), "no request has ended"


def kept(_: Principal) -> bool:
    return False


def post(running: "Running", path: str, body: bytes, *lines: str, key: str | None = "") -> "Answer":
    credential = [] if key is None else [f"authorization: Bearer {key or running.key}"]
    head = [f"POST {path} HTTP/1.1", "host: gateway", "connection: close", f"content-length: {len(body)}"]
    return running.send("\r\n".join([*head, *credential, *lines, "", ""]).encode() + body)


@pytest.mark.parametrize("path", SIGNALS)
@pytest.mark.parametrize(
    ("content_type", "empty"), [("application/json; charset=utf-8", b"{}"), ("application/x-protobuf", b"")]
)
@pytest.mark.parametrize(("encoding", "pack"), [("", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_telemetry_passes_with_whose_it_is_and_is_answered_in_its_encoding(
    serve: "Callable[..., Running]",
    fake: FakeCollector,
    collectors: Collectors,
    path: str,
    content_type: str,
    empty: bytes,
    encoding: str,
    pack: Callable[[bytes], bytes],
) -> None:
    running = serve(collectors=carrying(collectors, kept))
    named = content_type.partition(";")[0]
    sent = everything(path)
    for _, found in owners(sent):
        found.add(key="keystead.member.id").value.string_value = "mem_other"
    lines = [f"content-encoding: {encoding}"] if encoding else []
    answer = post(running, path, pack(encoded(sent, named)), f"content-type: {content_type}", *lines)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, empty, named)
    (received,) = fake.wait()
    assert (received.path, received.headers["content-type"]) == (path, named)
    assert received.headers.get("content-encoding") == ("gzip" if encoding else None)
    (of,) = resources(decoded(received))
    assert attributes(of.resource) == {"a-word": "a-word"} | WHOSE
    assert "mem_other" not in str(of)
    assert running.key not in f"{received.headers}{of}"
    assert running.api.requests == []


@pytest.mark.requirement("otlp-http malformed", "otlp-http response")
@pytest.mark.parametrize(
    ("body", "lines", "counted"),
    [
        (b"hello", ["content-type: text/plain"], 0),
        (b"", ["content-type: application/json"], 0),
        (LOGS, ["content-type: application/json", "content-encoding: br"], 0),
        (b"x" * (LARGEST + 1), ["content-type: application/x-protobuf"], 0),
        (LOGS[:-1], ["content-type: application/json"], 1),
        (LOGS, ["content-type: application/x-protobuf"], 1),
        (LOGS, ["content-type: application/json", "content-encoding: gzip"], 1),
        (encoded(everything("/v1/metrics"), JSON), ["content-type: application/json"], 1),
    ],
)
def test_what_is_discarded_is_answered_200_too(
    serve: "Callable[..., Running]",
    fake: FakeCollector,
    collectors: Collectors,
    body: bytes,
    lines: list[str],
    counted: int,
) -> None:
    running = serve(collectors=carrying(collectors, kept))
    assert post(running, "/v1/logs", body, *lines).status == 200
    collectors.close()
    assert fake.received == []
    malformed = (("collector", ""), ("signal", "logs"), ("result", "malformed"))
    assert dict(collectors.counts()) == ({malformed: counted} if counted else {})


def test_without_a_collector_it_is_answered_200(running: "Running") -> None:
    assert post(running, "/v1/metrics", LOGS, "content-type: application/json").body == b"{}"


@pytest.mark.parametrize("key", [None, "ksk_unknown"])
def test_who_is_not_known_is_refused(
    serve: "Callable[..., Running]", fake: FakeCollector, collectors: Collectors, key: str | None
) -> None:
    running = serve(collectors=carrying(collectors, kept))
    answer = post(running, "/v1/logs", LOGS, "content-type: application/json", key=key)
    assert (answer.status, answer.error["type"]) == (401, "authentication_error")
    collectors.close()
    assert fake.received == []


@pytest.mark.requirement("otlp-http bounded")
def test_a_collector_that_does_not_answer_holds_up_no_request(
    serve: "Callable[..., Running]", fake: FakeCollector
) -> None:
    fake.awake.clear()
    most = 5 * (len(LOGS) + OVERHEAD)
    collectors = Collectors([Collector(Endpoint("http", "127.0.0.1", fake.port), lambda *_: 0.0, most)])
    running = serve(collectors=carrying(collectors, kept))
    for _ in range(20):
        assert post(running, "/v1/logs", LOGS, "content-type: application/json").status == 200
    assert running.ask().status == 200
    fake.awake.set()
    collectors.close()
    counts = {dict(labels)["result"]: count for labels, count in collectors.counts()}
    assert counts["dropped"] > 0
    assert counts["dropped"] + counts["delivered"] == 20


@pytest.mark.requirement("S-22 telemetry")
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_of_whom_nothing_is_kept_only_metrics_pass_and_nothing_said(
    serve: "Callable[..., Running]", fake: FakeCollector, collectors: Collectors, content_type: str
) -> None:
    running = serve(collectors=carrying(collectors, lambda principal: principal.organization_id == "org_1"))
    for path in SIGNALS:
        sent = everything(path)
        for _, found in owners(sent):
            found.add(key="process.command_line").value.string_value = "agent -p prompt-canary"
            found.add(key="model").value.string_value = "claude-x"
        assert post(running, path, encoded(sent, content_type), f"content-type: {content_type}").status == 200
    collectors.close()
    (received,) = fake.received
    assert received.path == "/v1/metrics"
    (of,) = resources(decoded(received))
    assert attributes(of.resource) == {"model": "claude-x"} | WHOSE
    assert "canary" not in str(of)
    withheld = [(dict(labels)["signal"], count) for labels, count in collectors.counts() if "withheld" in str(labels)]
    assert sorted(withheld) == [("logs", 1), ("traces", 1)]


@pytest.mark.requirement("otlp-http traces")
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_traced_from_its_client_to_its_upstream(
    serve: "Callable[..., Running]", fake: FakeCollector, collectors: Collectors, stream: bool
) -> None:
    tracer = Watched(collectors)
    running = serve(tracer=tracer)
    trace = "0af7651916cd43dd8448eb211c80319c"
    body = question("prompt canary", stream=stream)
    assert running.ask(body, f"traceparent: 00-{trace}-b7ad6b7169203331-01").status == 200
    tracer.wait()
    tracer.send()
    (received,) = fake.wait()
    assert (received.path, received.headers["content-type"]) == ("/v1/traces", "application/json")
    (of,) = resources(decoded(received))
    assert attributes(of.resource)["service.name"] == "keystead"
    ((span,),) = (scope.spans for scope in of.scope_spans)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace, "b7ad6b7169203331")
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    (asked,) = running.api.requests
    assert asked.headers["traceparent"] == f"00-{trace}-{span.span_id.hex()}-01"
    assert asked.body == body
    (row,) = running.ledger.wait()
    facts = attributes(span)
    assert facts["keystead.request.id"] == row.request_id
    assert facts["gen_ai.usage.output_tokens"] == row.output_tokens
    assert not any(one in received.body for one in (b"canary", running.key.encode(), row.principal_id.encode()))


def test_a_head_that_repeats_itself_begins_a_trace_each_time(
    serve: "Callable[..., Running]", collectors: Collectors
) -> None:
    running = serve(tracer=Tracer(1.0, collectors.offer))
    body = question()
    with running.connect() as connection:
        for _ in range(2):
            connection.sendall(running.head(length=len(body)) + body)
            assert running.read(connection).status == 200
    first, second = (one.headers["traceparent"] for one in running.api.requests)
    assert first != second


def test_untraced_a_traceparent_passes_as_it_came(running: "Running") -> None:
    line = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert running.ask(None, f"traceparent: {line}").status == 200
    assert running.api.requests[0].headers["traceparent"] == line
