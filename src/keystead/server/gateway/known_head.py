"""A request head that was checked before, recognised when the next request repeats it.

An agent sends the same head with every request on its connection but for the length of the body. Comparing bytes with
one that passed every check costs a tenth of parsing, sorting and checking it again, and cannot come to another result:
whatever differs, and be it by one byte outside the length's digits, goes to the parser.
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
    def of(cls, request: bytes, head: RequestHead) -> "KnownHead | None":
        """Return what to remember of a request, or None when its head is not to be remembered.

        Args:
            request: the whole request as it came, one segment; the parser has found it in order and complete.
            head: its head, checked.
        """
        end = request.find(b"\r\n\r\n") + 4
        lengths = list(_LENGTH.finditer(request, 0, end))
        if end > _LARGEST or len(lengths) != 1 or b"expect" in head.read or not request.startswith(b"POST "):
            return None
        first, last = lengths[0].span(1)
        known = cls(request[:first], request[last:end], head)
        return known if known.body_of(request) is not None else None

    def body_of(self, data: bytes) -> bytes | None:
        """Return the body when ``data`` is this head and exactly the body it announces, else None."""
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(after, start, start + _DIGITS + len(after))
        digits = data[start:end]
        body = end + len(after)
        if end < 0 or not digits.isdigit() or int(digits) != len(data) - body:
            return None
        return data[body:]
