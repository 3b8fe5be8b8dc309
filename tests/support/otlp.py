"""OTLP requests read by OpenTelemetry's own schema, whatever encoding they are in."""

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any, Final

from collector import Received
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS: Final[dict[str, Any]] = {
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/traces": ExportTraceServiceRequest,
}
_IDENTIFIERS: Final = {"traceId", "spanId", "parentSpanId"}
"""What OTLP writes in hex, and protobuf's own JSON in base64."""


def decoded(received: Received) -> Any:
    """Return the message that a collector got; fails where the schema does not know a field.

    Raises:
        google.protobuf.message.DecodeError, google.protobuf.json_format.ParseError: it is none.
    """
    data = gzip.decompress(received.body) if received.headers.get("content-encoding") == "gzip" else received.body
    message = REQUESTS[received.path]()
    if received.headers["content-type"] == "application/x-protobuf":
        message.ParseFromString(data)
        return message
    return json_format.ParseDict(_in_base64(json.loads(data)), message)


def _in_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_base64(one) for one in value]
    if isinstance(value, dict):
        return {
            key: base64.b64encode(bytes.fromhex(one)).decode() if key in _IDENTIFIERS else _in_base64(one)
            for key, one in value.items()
        }
    return value


def attributes(owner: Any) -> dict[str, Any]:
    """Return the attributes of a resource, a record, a point or a span."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in owner.attributes}


def resources(message: Any) -> Iterator[Any]:
    """Give what stands below each resource: it has ``resource`` and, by signal, the scopes."""
    for name in ("resource_logs", "resource_metrics", "resource_spans"):
        yield from getattr(message, name, ())
