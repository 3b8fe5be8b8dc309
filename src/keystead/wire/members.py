"""Take top-level members out of a JSON object and put others in; every character of the rest stays what it is.

What parses a document and writes it again can change it: ``1.0``, a long number, half of a surrogate pair, a key that
stands there twice. Here nothing counts but where a member begins and ends, and the reader that finds it is the C one of
:mod:`json`.
"""

import json
import re
from collections.abc import Iterator, Set
from typing import Any, Final, NamedTuple

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_value_at: Final = json.JSONDecoder(parse_int=len, parse_float=len, strict=False).raw_decode
"""Numbers are not made: one may be longer than Python converts."""


class Member(NamedTuple):
    """One member of the outermost object.

    Attributes:
        text: name and value, without white space around them.
        value: the value alone.
    """

    name: str
    text: str
    value: str


def members(body: bytes) -> Iterator[Member]:
    """Yield the members of the outermost object in their order.

    Raises:
        ValueError: the body is not a JSON object in UTF-8.
    """
    text = body.decode("utf-8")
    at = _after(text, _skip(text, 0), "{")
    if text[at : at + 1] == "}":
        _expect_end(text, at + 1)
        return
    while True:
        start = at
        if text[at : at + 1] != '"':
            raise ValueError(f"character {at + 1} begins no name")
        name, at = _value_at(text, at)
        at = value = _after(text, _skip(text, at), ":")
        try:
            _, at = _value_at(text, at)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        yield Member(name, text[start:at], text[value:at])
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
    new = [f"{_dump(name)}:{_dump(value)}" for name, value in first.items()]
    kept = [one.text for one in members(body) if one.name not in without]
    return ("{" + ",".join([*new, *kept]) + "}").encode("utf-8")


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
