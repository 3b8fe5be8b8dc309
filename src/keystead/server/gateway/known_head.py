"""A request head that was checked before, recognised when the next request repeats it.

An agent sends the same head with every request on its connection but for the length of the body. Comparing bytes with
one that passed every check costs a tenth of parsing, sorting and checking it again, and cannot come to another result:
whatever differs, and be it by one byte outside the length's digits, goes to the parser. Only the head has to come in
one piece; official SDKs send it by itself, and a conversation of an agent takes many pieces.
"""

import re
from typing import Final

from keystead.server.gateway.request_head import RequestHead

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)(?=[ \t]*\r\n)", re.IGNORECASE)
_LARGEST: Final = 8_192
"""Bytes of the largest head that is remembered; every open connection keeps one."""
_DIGITS: Final = 15


class KnownHead:
    """The bytes of a head before and after the digits of its length.

    Attributes:
        head: what it means.
    """

    __slots__ = ("_after", "_before", "head")

    def __init__(self, before: bytes, after: bytes, head: RequestHead) -> None:
        self._before = before
        self._after = after
        self.head = head

    @classmethod
    def of(cls, begun: bytes, head: RequestHead) -> "KnownHead | None":
        """Return what to remember of a request, or None when its head is not to be remembered.

        Args:
            begun: its first segment, in which the parser has found its whole head in order, and maybe more of it.
            head: its head, checked.
        """
        end = begun.find(b"\r\n\r\n") + 4
        lengths = list(_LENGTH.finditer(begun, 0, end))
        if end > _LARGEST or len(lengths) != 1 or b"expect" in head.read or not begun.startswith(b"POST "):
            return None
        if head.own is not None:  # such a request is another exchange
            return None
        first, last = lengths[0].span(1)
        known = cls(begun[:first], begun[last:end], head)
        return known if known.begins(begun) is not None else None

    def begins(self, data: bytes) -> tuple[int, int] | None:
        """Return the length of the body and where it starts, when ``data`` is this head and no more than that body."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(after, start, start + _DIGITS + len(after))
        digits = data[start:end]
        if end < 0 or not digits.isdigit():
            return None
        length, body = int(digits), end + len(after)
        return (length, body) if length >= len(data) - body else None
