"""OTLP in protobuf, read and written field by field (the encoding of protobuf.dev, "Encoding"). Pure.

What the table does not name is copied as it came, so that a newer client's fields pass.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from keystead.credentials import patterns
from keystead.credentials.patterns import may_hold
from keystead.server.telemetry.otlp_schema import ATTRIBUTE, OURS, Field, Kind, Malformed, Marks, Message, is_word

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}
_OURS: Final = OURS.encode()
_KEY, _VALUE, _STRING, _BOOL, _INT, _DOUBLE = 1, 2, 1, 2, 3, 4
"""Numbers of KeyValue's fields, and of AnyValue's that hold one value."""


class _Part(NamedTuple):
    """One field as it stands in a message: all of it from ``start``, what it holds from ``begin``, both to ``end``."""

    number: int
    wire: int
    start: int
    begin: int
    end: int


def rewritten(message: Message, data: bytes, marks: Marks) -> bytes:
    """Return a request with its attributes as ``marks`` say.

    Raises:
        Malformed: it is no such message, as far as it was looked at, or has nothing in it.
    """
    if all(part.number not in message.fields for part in _parts(data)):
        raise Malformed
    masked = may_hold(data)
    try:
        return _message(message, data, marks._replace(records=marks.bare or masked or _OURS in data, masked=masked))
    except RecursionError as error:  # of values in values, which readers bound too
        raise Malformed from error


def _message(message: Message, data: bytes, marks: Marks) -> bytes:
    pieces: list[bytes] = []
    seen: set[int] = set()
    for part in _parts(data):
        field = message.fields.get(part.number)
        if field is None:
            if not marks.bare:
                pieces.append(data[part.start : part.end])
            continue
        if field.single and part.number in seen:
            raise Malformed
        seen.add(part.number)
        pieces.append(_field(field, part, data, marks))
    if message.is_resource:
        pieces += [_attribute(name, value) for name, value in marks.attributes]
    if message.has_resource and 1 not in seen:
        pieces.append(_delimited(1, b"".join(_attribute(name, value) for name, value in marks.attributes)))
    return b"".join(pieces)


def _field(field: Field, part: _Part, data: bytes, marks: Marks) -> bytes:
    """Return what becomes of one field; nothing when it is left out."""
    if (part.wire == _LENGTH) == (field.of is Kind.NUMBER) and field.of is not Kind.NUMBERS:
        raise Malformed
    if isinstance(field.of, Message) and (marks.records or not field.records):
        return _delimited(part.number, _message(field.of, data[part.begin : part.end], marks))
    held, stays = data[part.begin : part.end], True
    if field.of is Kind.ATTRIBUTES:
        stays = _attribute_stays(held, marks)
        if stays and marks.masked and may_hold(held):
            return _delimited(part.number, _message(ATTRIBUTE, held, marks))
    elif field.of is Kind.ASIDE:
        stays = not marks.bare and _OURS not in held and not may_hold(held)
    elif field.of is Kind.TEXT:
        stays = not marks.bare or _is_word(held)
        if stays and marks.masked and may_hold(held):
            return _delimited(part.number, _masked(held))
    return data[part.start : part.end] if stays else b""


def _masked(text: bytes) -> bytes:
    return patterns.masked(text.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _attribute_stays(data: bytes, marks: Marks) -> bool:
    """Return whether an attribute is the client's to set, and nothing that can hold content if that is to be so."""
    stays = True
    for part in _parts(data):
        held = data[part.begin : part.end]
        if part.number == _KEY and part.wire == _LENGTH:
            stays = stays and not held.startswith(_OURS) and (not marks.bare or _is_word(held))
        elif part.number == _VALUE and part.wire == _LENGTH:
            stays = stays and (not marks.bare or _is_scalar(held))
        else:
            stays = stays and not marks.bare
    return stays


def _is_scalar(data: bytes) -> bool:
    for part in _parts(data):
        number = part.number in {_BOOL, _INT, _DOUBLE} and part.wire != _LENGTH
        if not number and not (part.number == _STRING and _is_word(data[part.begin : part.end])):
            return False
    return True


def _is_word(data: bytes) -> bool:
    return is_word(data.decode("latin-1"))


def _parts(data: bytes) -> Iterator[_Part]:
    position, size = 0, len(data)
    while position < size:
        start = position
        tag, position = _varint(data, position)
        wire, number = tag & 7, tag >> 3
        if wire == _LENGTH:
            length, position = _varint(data, position)
        elif wire == _VARINT:
            length = _varint(data, position)[1] - position
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:  # groups, which OTLP has none of
            raise Malformed
        if not 0 < number < 2**29 or length > size - position:
            raise Malformed
        begin, position = position, position + length
        yield _Part(number, wire, start, begin, position)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = shift = 0
    for end in range(position + 1, min(position + 10, len(data)) + 1):
        byte = data[end - 1]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, end
        shift += 7
    raise Malformed


def _attribute(name: str, value: str) -> bytes:
    held = _delimited(_STRING, value.encode())
    return _delimited(1, _delimited(_KEY, name.encode()) + _delimited(_VALUE, held))


def _delimited(number: int, data: bytes) -> bytes:
    return _number(number << 3 | _LENGTH) + _number(len(data)) + data


def _number(value: int) -> bytes:
    pieces = bytearray()
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)
