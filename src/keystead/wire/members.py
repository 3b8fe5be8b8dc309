"""Find the top-level members of a JSON object, take some out and put others in; every other byte stays what it is.

What parses a document and writes it again can change it: ``1.0``, a long number, half of a surrogate pair, a key that
stands there twice. Here nothing counts but where a member begins and ends.
"""

import json
import re
from collections.abc import Iterator, Set
from typing import Any, Final, NamedTuple

import msgspec

_AT_ONCE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_value_at: Final = json.JSONDecoder(parse_int=len, parse_float=len, strict=False).raw_decode
"""Numbers are not made: one may be longer than Python converts."""


class Member(NamedTuple):
    """One member of the outermost object; the places are indices into the bytes of its document.

    Attributes:
        start: where its name begins, with the quote.
        end: where its value ends.
        value: as it is written there.
    """

    name: str
    start: int
    end: int
    value: bytes


def members(body: bytes) -> list[Member]:
    """Return the members of the outermost object in their order.

    Raises:
        ValueError: the body is not a JSON object in UTF-8.
    """
    values = plain(body)
    return list(_one_by_one(body.decode("utf-8"))) if values is None else list(_placed(body, values))


def plain(body: bytes) -> dict[str, msgspec.Raw] | None:
    """Return the values by name, for a body that could not be understood in another way; else None.

    What is found is written down again and compared. So a body passes when it is what an SDK makes of an object: no
    name twice or with an escaped letter in it, no white space but that of JavaScript or Python between members. Whether
    the inside of its strings is UTF-8 is left to whoever reads them.
    """
    try:
        values = _AT_ONCE.decode(body)
    except (ValueError, RecursionError):
        return None
    space, before, at = _space(body, values), "{", 0
    for name, raw in values.items():
        key, value = f'{before}"{name}":{space}'.encode(), bytes(raw)
        begin = at + len(key)
        if not (body.startswith(key, at) and body.startswith(value, begin)):
            return None
        at = begin + len(value)
        before = f",{space}"
    return values if body[at:] == b"}" else None


def _space(body: bytes, values: dict[str, msgspec.Raw]) -> str:
    """Return what stands between members beside the comma and the colon: Python writes a blank, JavaScript nothing."""
    after = len(next(iter(values), "").encode()) + 4
    return " " if body[after : after + 1] == b" " else ""


def _placed(body: bytes, values: dict[str, msgspec.Raw]) -> Iterator[Member]:
    """Yield the members of a body that is plain."""
    start, space = 1, len(_space(body, values))
    for name, raw in values.items():
        value = bytes(raw)
        end = start + len(name.encode()) + 3 + space + len(value)
        yield Member(name, start, end, value)
        start = end + 1 + space


def _one_by_one(text: str) -> Iterator[Member]:
    """Yield the members; the reader that finds their ends is the C one of :mod:`json`."""
    at = _after(text, _skip(text, 0), "{")
    if text[at : at + 1] == "}":
        _expect_end(text, at + 1)
        return
    passed = size = 0
    while True:
        start = at
        if text[at : at + 1] != '"':
            raise ValueError(f"character {at + 1} begins no name")
        name, at = _value_at(text, at)
        at = begins = _after(text, _skip(text, at), ":")
        try:
            _, at = _value_at(text, at)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        value = text[begins:at].encode("utf-8")
        first = size + len(text[passed:start].encode("utf-8"))
        size, passed = first + len(text[start:begins].encode("utf-8")) + len(value), at
        yield Member(name, first, size, value)
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            _expect_end(text, at + 1)
            return
        at = _after(text, at, ",")


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return at if found is None else found.end()


def _after(text: str, at: int, mark: str) -> int:
    """Return where it goes on behind ``mark``, and behind the white space after it."""
    if text[at : at + 1] != mark:
        raise ValueError(f"character {at + 1} is not {mark}")
    return _skip(text, at + 1)


def _expect_end(text: str, at: int) -> None:
    if _skip(text, at) != len(text):
        raise ValueError("something follows the object")


def edited(body: bytes, without: Set[str], first: dict[str, Any]) -> bytes:
    """Return ``body`` with the members ``first`` before its own, but for those whose name is in ``without``.

    Raises:
        ValueError: the body is not a JSON object in UTF-8.
    """
    view = memoryview(body)  # so that a conversation is copied once
    parts: list[bytes | memoryview] = [b"%b:%b" % (_dump(name), _dump(value)) for name, value in first.items()]
    parts += [view[one.start : one.end] for one in members(body) if one.name not in without]
    pieces = [piece for part in parts for piece in (b",", part)]
    return b"".join([b"{", *pieces[1:], b"}"])


def replaced(body: bytes, name: str, value: Any) -> bytes:
    """Return ``body`` with another value for the first member of this name; every byte outside it stays what it is.

    Raises:
        ValueError: the body is not a JSON object in UTF-8.
        StopIteration: it has no such member.
    """
    view, member = memoryview(body), next(one for one in members(body) if one.name == name)
    return b"".join([view[: member.end - len(member.value)], _dump(value), view[member.end :]])


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
