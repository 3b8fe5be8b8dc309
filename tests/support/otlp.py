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


def encoded(message: Any, content_type: str) -> bytes:
    """Return a message in protobuf, or in JSON as OTLP has it."""
    if content_type == "application/x-protobuf":
        data: bytes = message.SerializeToString()
        return data
    return json.dumps(_in_hex(json_format.MessageToDict(message, use_integers_for_enums=True))).encode()


def _in_hex(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_hex(one) for one in value]
    if isinstance(value, dict):
        return {key: base64.b64decode(one).hex() if key in _IDENTIFIERS else _in_hex(one) for key, one in value.items()}
    return value


def everything(path: str) -> Any:
    """Return a request that has every field of the schema, down to the values of attributes."""
    return _filled(REQUESTS[path]())


def _filled(message: Any) -> Any:
    """Fill a message: every field that there is, and of those that exclude each other one in each of several copies."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and field.containing_oneof.name != "data":
            continue
        if field.message_type is None:
            value: Any = {"string": "a-word", "bytes": b"\x01" * 8}.get(_TYPES.get(field.type, ""), 1)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif field.message_type.name == "AnyValue":
            getattr(message, field.name).string_value = "a-word"
        elif field.is_repeated and field.message_type.name == "Metric":
            for kind in field.message_type.oneofs_by_name["data"].fields:
                metric = getattr(message, field.name).add(name="a.metric", unit="s")
                metric.metadata.add(key="a.key").value.string_value = "a-word"
                _filled(getattr(metric, kind.name))
        elif field.is_repeated:
            _filled(getattr(message, field.name).add())
        else:
            _filled(getattr(message, field.name))
    return message


_TYPES: Final = {9: "string", 12: "bytes"}
"""Numbers of FieldDescriptor's types."""


def owners(message: Any) -> Iterator[tuple[Any, Any]]:
    """Give every message that has attributes, and its list of them; a resource before what is below it."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.name == "KeyValue":
            yield message, value
            continue
        for one in value if field.is_repeated else [value]:
            yield from owners(one)
