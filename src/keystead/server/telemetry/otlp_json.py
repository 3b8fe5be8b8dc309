"""OTLP in JSON ("JSON Protobuf Encoding" of its specification), read and written whole. Pure."""

import json
from typing import Any, Final

from keystead.credentials import patterns
from keystead.credentials.patterns import may_hold
from keystead.server.telemetry.otlp_schema import OURS, Field, Kind, Malformed, Marks, Message, is_word, spelled

_JSON: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_DEPTH: Final = 6
"""From a request down to its records: request, resources, one, scopes, one, records."""
_SCALARS: Final = {spelled(name) for name in ("stringValue", "boolValue", "intValue", "doubleValue")}


def rewritten(message: Message, data: bytes, marks: Marks) -> bytes:
    """Return a request with its attributes as ``marks`` say. Names that readers take for a known one get its spelling.

    Raises:
        Malformed: it is no such message, as far as it was looked at, or has nothing in it.
    """
    escaped = b"\\u" in data
    masked = escaped or may_hold(data)
    marks = marks._replace(records=marks.bare or escaped or OURS.encode() in data)
    try:
        document = json.loads(data.decode(), parse_constant=_refuse)
        result = _message(message, document, marks)
        if not any(result.get(field.name) for field in message.fields.values()):
            raise Malformed
        result = _masked(result) if masked else result
        return _written(result, _DEPTH).encode()
    except (ValueError, RecursionError) as error:
        raise Malformed from error


def _written(value: Any, depth: int) -> str:
    """Return JSON, record by record: what is written in one call lets no other thread in meanwhile."""
    if depth and isinstance(value, dict):
        return "{" + ",".join(f"{_JSON(name)}:{_written(one, depth - 1)}" for name, one in value.items()) + "}"
    if depth and isinstance(value, list):
        return "[" + ",".join(_written(one, depth - 1) for one in value) + "]"
    return _JSON(value)


def _masked(value: Any) -> Any:
    """Return a value with what looks like a credential masked in all its texts."""
    if isinstance(value, str):
        return patterns.masked(value) if may_hold(value.encode(errors="surrogatepass")) else value
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return {_masked(name): _masked(one) for name, one in value.items()} if isinstance(value, dict) else value


def _refuse(_: str) -> None:
    raise Malformed


def _message(message: Message, document: Any, marks: Marks) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise Malformed
    result: dict[str, Any] = {}
    for name, value in document.items():
        field = message.names.get(spelled(name))
        if field is None:
            if not marks.bare:
                result[name] = value
            continue
        if field.name in result:
            raise Malformed
        result[field.name] = None if value is None else _field(field, value, marks)
    if message.has_resource and result.get("resource") is None:
        result["resource"] = _message(message.fields[1].of, {}, marks)  # type: ignore[arg-type]  # it is one
    if message.is_resource:
        ours = [{"key": name, "value": {"stringValue": value}} for name, value in marks.attributes]
        result["attributes"] = [*(result.get("attributes") or ()), *ours]
    return {name: value for name, value in result.items() if value is not None}


def _field(field: Field, value: Any, marks: Marks) -> Any:
    """Return what becomes of a field; None when it is left out."""
    if isinstance(field.of, Message):
        if field.records and not marks.records:
            return _list(value)
        if field.single:
            return _message(field.of, value, marks)
        return [_message(field.of, one, marks) for one in _list(value)]
    if field.of is Kind.ATTRIBUTES:
        return [one for one in _list(value) if _attribute_stays(one, marks)]
    if field.of is Kind.ASIDE:
        return None if marks.bare or OURS in json.dumps(value) else value
    if field.of is Kind.NUMBERS:
        return [one for one in _list(value) if not marks.bare or _is_plain(one)]
    return value if not marks.bare or _is_plain(value) else None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed
    return value


def _attribute_stays(attribute: Any, marks: Marks) -> bool:
    """Return whether an attribute is the client's to set, and nothing that can hold content if that is to be so."""
    if not isinstance(attribute, dict):
        raise Malformed
    for name, value in attribute.items():
        if spelled(name) == "key":
            if not isinstance(value, str):
                raise Malformed
            if value.startswith(OURS) or (marks.bare and not is_word(value)):
                return False
        elif marks.bare and not (spelled(name) == "value" and _is_scalar(value)):
            return False
    return True


def _is_scalar(value: Any) -> bool:
    return isinstance(value, dict) and all(spelled(name) in _SCALARS and _is_plain(one) for name, one in value.items())


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and is_word(value))
