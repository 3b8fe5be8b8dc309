"""Which requests are traced, what the upstream is told of it, and what a span says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings
from keystead.server.telemetry.collectors import Collectors
from keystead.server.telemetry.relay import Body
from keystead.server.telemetry.traces import BATCH, Tracer, checked, running
from keystead.server.usage.record import UsageRecord

RECORD: Final = UsageRecord(
    id="0" * 32,
    request_id="req_0",
    organization_id="org_1",
    workspace_id="wrk_1",
    member_id="member canary",
    principal_kind="api_key",
    principal_id="key canary",
    client="client canary",
    session_id="",
    upstream="primary",
    model="claude-x",
    status=200,
    started_at=1_700_000_000.5,
    duration_ms=1500,
    input_tokens=10,
    output_tokens=20,
    cache_read_tokens=30,
    cache_write_tokens=40,
    streamed=True,
    aborted=False,
    estimated=False,
    upstream_kind="bedrock",
)
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER = b"accept: */*\r\n"
STATE = b"tracestate: vendor=1\r\n"


def drawing(*values: int) -> Callable[[int], int]:
    left = list(values)
    return lambda _: left.pop(0)


def tracer(ratio: float = 1.0, *drawn: int) -> tuple[Tracer, list[Body]]:
    sent: list[Body] = []
    return Tracer(ratio, sent.append, drawing(*drawn)), sent


def parent(flags: str = "01", version: str = "00", trace: str = TRACE, span: str = PARENT, more: str = "") -> bytes:
    return f"traceparent: {version}-{trace}-{span}-{flags}{more}\r\n".encode()


def spans(sent: list[Body]) -> list[dict[str, Any]]:
    return [
        span
        for body in sent
        for resource in json.loads(body.data)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def test_a_clients_trace_is_continued_and_the_upstream_is_sent_our_span() -> None:
    one, _ = tracer(1.0, 0xABC)
    begun = one.begin(OTHER + parent() + STATE)
    assert begun is not None
    lines, span = begun
    assert span == (TRACE, "0000000000000abc", PARENT)
    assert lines == OTHER + STATE + f"traceparent: 00-{TRACE}-0000000000000abc-01\r\n".encode()


def test_a_later_version_is_understood_as_far_as_it_goes() -> None:
    begun = tracer(1.0, 1)[0].begin(parent(version="01", more="-more"))
    assert begun is not None
    assert begun[1][0] == TRACE


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        parent(trace="0" * 32),
        parent(span="0" * 16),
        parent(version="ff"),
        parent(more="-x"),
        parent(trace=TRACE.upper()),
        parent() + parent(),
        b"traceparent: nonsense\r\n",
    ],
)
def test_without_a_parent_that_can_be_read_a_trace_begins(lines: bytes) -> None:
    begun = tracer(1.0, 0x123, 0x456)[0].begin(OTHER + lines + STATE)
    assert begun is not None
    trace = "123".rjust(32, "0")
    assert begun[1] == (trace, "0000000000000456", "")
    assert begun[0] == OTHER + f"traceparent: 00-{trace}-0000000000000456-01\r\n".encode()


def test_a_trace_that_is_not_sampled_stays_so() -> None:
    assert tracer(1.0, 1)[0].begin(parent("00")) is None


@pytest.mark.parametrize(("drawn", "traced"), [(0x3F << 48, True), (0x40 << 48, False), (1 << 100, True)])
def test_the_end_of_the_identifier_decides(drawn: int, traced: bool) -> None:
    assert (tracer(0.25, drawn, 1)[0].begin(b"") is not None) is traced


def test_a_span_has_the_names_of_the_conventions_and_nothing_of_a_person() -> None:
    one, sent = tracer()
    one.end((TRACE, "00000000000000aa", PARENT), RECORD, 1.5, 0.25)
    one.send()
    ((span,), (body,)) = spans(sent), sent
    assert (body.signal, body.content_type) == ("traces", "application/json")
    assert (span["traceId"], span["spanId"], span["parentSpanId"]) == (TRACE, "00000000000000aa", PARENT)
    assert (span["name"], span["kind"], span["status"]) == ("chat claude-x", 3, {})
    assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) == 1_500_000_000
    facts = {one["key"]: one["value"] for one in span["attributes"]}
    assert facts == {
        "gen_ai.operation.name": {"stringValue": "chat"},
        "gen_ai.provider.name": {"stringValue": "aws.bedrock"},
        "gen_ai.request.model": {"stringValue": "claude-x"},
        "gen_ai.request.stream": {"boolValue": True},
        "gen_ai.usage.input_tokens": {"intValue": "80"},
        "gen_ai.usage.output_tokens": {"intValue": "20"},
        "gen_ai.usage.cache_read.input_tokens": {"intValue": "30"},
        "gen_ai.usage.cache_creation.input_tokens": {"intValue": "40"},
        "gen_ai.response.time_to_first_chunk": {"doubleValue": 0.25},
        "http.response.status_code": {"intValue": "200"},
        "keystead.organization.id": {"stringValue": "org_1"},
        "keystead.request.id": {"stringValue": "req_0"},
        "keystead.upstream.name": {"stringValue": "primary"},
        "keystead.usage.estimated": {"boolValue": False},
    }
    assert b"canary" not in body.data


@pytest.mark.requirement("S-22 telemetry")
def test_what_a_client_chose_is_in_a_span_only_as_a_word() -> None:
    one, sent = tracer()
    said = RECORD._replace(model="a prompt canary", session_id="canary\u2603")
    one.end((TRACE, "00000000000000aa", ""), said, 1.5, 0.0)
    one.end((TRACE, "00000000000000ab", ""), RECORD._replace(session_id="a-session"), 1.5, 0.0)
    one.send()
    first, second = spans(sent)
    assert "canary" not in str(first)
    assert first["name"] == "chat"
    assert {"key": "gen_ai.conversation.id", "value": {"stringValue": "a-session"}} in second["attributes"]


@pytest.mark.parametrize(
    ("changed", "type_of_error"), [({"status": 529}, "529"), ({"aborted": True}, "aborted"), ({"status": 0}, "0")]
)
def test_a_failure_is_an_error(changed: dict[str, Any], type_of_error: str) -> None:
    one, sent = tracer()
    one.end((TRACE, "00000000000000aa", ""), RECORD._replace(**changed), 1.5, 0.0)
    one.send()
    (span,) = spans(sent)
    assert span["status"] == {"code": 2}
    assert {"key": "error.type", "value": {"stringValue": type_of_error}} in span["attributes"]
    assert "parentSpanId" not in span


def test_spans_are_sent_in_batches() -> None:
    one, sent = tracer()
    for _ in range(BATCH + 1):
        one.end((TRACE, "00000000000000aa", ""), RECORD, 1.5, 0.0)
    one.send()
    assert [len(spans([body])) for body in sent] == [BATCH, 1]
    one.send()
    assert len(sent) == 2


def test_nothing_is_traced_by_default(tmp_path: Path) -> None:
    with running(ServerSettings(tmp_path), Collectors([])) as nobody:
        assert nobody is None


@pytest.mark.parametrize(
    ("ratio", "endpoints"), [(1.5, "http://127.0.0.1:1"), (float("nan"), "http://127.0.0.1:1"), (0.5, " ")]
)
def test_a_ratio_that_makes_no_sense_stops_the_server(tmp_path: Path, ratio: float, endpoints: str) -> None:
    with pytest.raises(ConfigurationError, match="KEYSTEAD_SERVER_TRACE_RATIO"):
        checked(ServerSettings(tmp_path, trace_ratio=ratio, otlp_endpoints=endpoints))
