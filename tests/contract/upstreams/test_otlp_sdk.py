"""OpenTelemetry's own SDK and exporters as the agents, unmodified, and its own schema as the collector."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest
from collector import FakeCollector, Received
from opentelemetry.exporter.otlp.common.http import Compression as JsonCompression
from opentelemetry.exporter.otlp.json.http import OTLPMetricExporter as JsonMetrics
from opentelemetry.exporter.otlp.json.http import OTLPSpanExporter as JsonSpans
from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter as JsonLogs
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from otlp import attributes, decoded, resources

from keystead.server.observation import carrying
from keystead.server.telemetry.collectors import Collector, Collectors, Endpoint

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

RESOURCE: Final = Resource({"service.name": "an-agent"})
SAID: Final = "what was asked, ☃ included"

EXPORTERS: Final[dict[str, dict[str, Callable[..., Any]]]] = {
    "protobuf": {"metrics": OTLPMetricExporter, "logs": OTLPLogExporter, "traces": OTLPSpanExporter},
    "json": {"metrics": JsonMetrics, "logs": JsonLogs, "traces": JsonSpans},
}
COMPRESSIONS: Final[dict[str, type[Any]]] = {"protobuf": Compression, "json": JsonCompression}


@pytest.fixture
def fake() -> Iterator[FakeCollector]:
    with FakeCollector() as running:
        yield running


def metrics(exporter: Any) -> None:
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    provider = MeterProvider([reader], resource=RESOURCE, shutdown_on_exit=False)
    meter = provider.get_meter("agent.scope")
    meter.create_counter("agent.tokens", unit="{token}").add(42, {"type": "input", "share": 0.5, "cached": True})
    meter.create_histogram("agent.seconds", unit="s").record(1.5, {"model": "m"})
    meter.create_up_down_counter("agent.sessions").add(-1)
    provider.force_flush()
    provider.shutdown()


def logs(exporter: Any) -> None:
    provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("agent.scope").emit(
        event_name="agent.user_prompt", timestamp=1, body=SAID, attributes={"prompt": SAID, "list": [1, 2]}
    )
    provider.shutdown()


def traces(exporter: Any) -> None:
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("agent.scope").start_as_current_span("ask", attributes={"prompt": SAID}) as span:
        span.add_event("tool", {"name": "x"})
    provider.shutdown()


SIGNALS: Final = {"metrics": metrics, "logs": logs, "traces": traces}


@contextlib.contextmanager
def relaying(serve: "Callable[..., Running]", fake: FakeCollector, *, kept: bool = True) -> "Iterator[Running]":
    collectors = Collectors([Collector(Endpoint("http", "127.0.0.1", fake.port), lambda *_: 0.0)])
    try:
        yield serve(collectors=carrying(collectors, lambda _: not kept))
    finally:
        collectors.close()


def exported(running: "Running", encoding: str, signal: str, compression: str = "none", **more: str) -> None:
    """Have the SDK send one batch of a signal to the gateway."""
    headers = {"authorization": f"Bearer {running.key}", **more}
    exporter = EXPORTERS[encoding][signal](
        f"{running.base_url}/v1/{signal}", headers=headers, compression=COMPRESSIONS[encoding](compression), timeout=10
    )
    SIGNALS[signal](exporter)


def told(received: Received) -> dict[str, Any]:
    """Return what the SDK was told to say, out of what the collector got."""
    (of,) = resources(decoded(received))
    assert attributes(of.resource)["service.name"] == "an-agent"
    (scope,) = next(iter(one[1] for one in of.ListFields() if one[0].name.startswith("scope_")))
    assert scope.scope.name == "agent.scope"
    found: dict[str, Any] = {}
    for metric in getattr(scope, "metrics", ()):
        (point,) = getattr(metric, metric.WhichOneof("data")).data_points
        value = point.sum if metric.WhichOneof("data") == "histogram" else point.as_int
        found[metric.name] = value, attributes(point)
    for record in getattr(scope, "log_records", ()):
        found[record.event_name] = record.body.string_value, attributes(record)["prompt"]
    for span in getattr(scope, "spans", ()):
        assert (len(span.trace_id), len(span.span_id)) == (16, 8)
        found[span.name] = attributes(span), [one.name for one in span.events]
    return found


TOLD: Final = {
    "metrics": {
        "agent.tokens": (42, {"type": "input", "share": 0.5, "cached": True}),
        "agent.seconds": (1.5, {"model": "m"}),
        "agent.sessions": (-1, {}),
    },
    "logs": {"agent.user_prompt": (SAID, SAID)},
    "traces": {"ask": ({"prompt": SAID}, ["tool"])},
}


@pytest.mark.requirement("otlp-http request", "otlp-http gzip", "otlp-http response")
@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("encoding", EXPORTERS)
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_what_the_sdk_exports_arrives_whole(
    serve: "Callable[..., Running]",
    fake: FakeCollector,
    caplog: pytest.LogCaptureFixture,
    signal: str,
    encoding: str,
    compression: str,
) -> None:
    with relaying(serve, fake) as running:
        exported(running, encoding, signal, compression)
        (received,) = fake.wait()
    assert told(received) == TOLD[signal]
    assert received.headers.get("content-encoding", "none") == compression
    assert running.key not in str(received.headers)
    assert caplog.records == [], "the SDK took the answer for success"


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_credential_that_is_not_known_is_final_for_the_sdk(
    serve: "Callable[..., Running]", fake: FakeCollector, caplog: pytest.LogCaptureFixture, signal: str
) -> None:
    with relaying(serve, fake) as running:
        exported(running, "protobuf", signal, authorization="Bearer ksk_unknown")
    assert fake.received == []
    assert "401" in caplog.text
