"""Read token counts off a Messages API answer while it passes by.

Two readers with one shape: :class:`StreamUsage` for server-sent events and :class:`DocumentUsage` for a JSON
document. Both take the body in any pieces and keep only what they still need.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

_MARK: Final = b'"usage"'
_ERROR: Final = b"event: error"
_LONGEST_LINE: Final = 1 << 18
_LARGEST_DOCUMENT: Final = 1 << 24
_EVENT_FRAME: Final = 115
"""Bytes of a ``content_block_delta`` event around its text; keeps the floor estimate below the truth."""
LARGEST: Final = 10**12
"""Of any count: what says more is no count, and would not fit into a ledger."""
_FIELDS: Final = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
}
_INNER: Final = {
    "cache_creation": ("ephemeral_1h_input_tokens", "cache_write_1h"),
    "server_tool_use": ("web_search_requests", "web_searches"),
}
"""What stands in an object of its own inside ``usage``: its name there, and here."""
_USUAL: Final = {
    "service_tier": frozenset({"standard", "default", "auto"}),
    "speed": frozenset({"standard"}),
    "inference_geo": frozenset({"global", "not_available"}),
}
"""What of a request changes its price, and the words that do not."""
_WORD: Final = re.compile(r"[a-z0-9_-]{1,16}")
_APART: Final = frozenset({"compaction", "advisor_message"})
"""Work within a request that is paid for, but not in the counts of ``usage`` itself: only among its ``iterations``."""


@dataclass(slots=True)
class TokenCounts:
    """Tokens and web searches of one answer, as the upstream said so far.

    Attributes:
        cache_write: for whatever time.
        cache_write_1h: those of ``cache_write`` that are kept for an hour.
        tariff: words, in order, for what else changes the price, such as ``fast us``; empty for what is usual.
        apart: the part of the first five that an upstream names beside its own counts, for a summary or an adviser.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0
    tariff: str = ""
    apart: "TokenCounts | None" = field(default=None, compare=False, repr=False)

    def take(self, usage: Any) -> bool:
        """Take over the counts of a ``usage`` object; returns whether there are any in it.

        They are cumulative, so a later one replaces an earlier. A nought replaces only the answer's: that is how some
        upstreams fill in the other ones at the end of a stream.
        """
        if not isinstance(usage, dict):
            return False
        found = False
        iterations = usage.get("iterations")
        if iterations is not None and self.apart is not None:
            self._add(self.apart, -1)
        for wire_name, value in usage.items():
            name = _FIELDS.get(wire_name)
            if name is None:
                inner = _INNER.get(wire_name)
                if inner is None or type(value) is not dict:
                    if wire_name in _USUAL:
                        self._note(wire_name, value)
                    continue
                name, value = inner[1], value.get(inner[0])
            if type(value) is int and 0 <= value <= LARGEST:
                found = True
                if value or name == "output":
                    setattr(self, name, value)
        if iterations is not None:
            self.apart = _apart(iterations)
            self._add(self.apart)
        return found

    def _note(self, name: str, word: Any) -> None:
        if type(word) is str and word not in _USUAL[name] and _WORD.fullmatch(word):
            self.tariff = " ".join(sorted({*self.tariff.split(), word}))

    def _add(self, more: "TokenCounts", sign: int = 1) -> None:
        for name in _TOKENS:
            setattr(self, name, getattr(self, name) + sign * getattr(more, name))


_TOKENS: Final = (*_FIELDS.values(), "cache_write_1h")


def _apart(iterations: Any) -> TokenCounts:
    """Return what the iterations that are not in the counts of their ``usage`` add up to."""
    total = TokenCounts()
    for one in iterations if isinstance(iterations, list) else ():
        if isinstance(one, dict) and str(one.get("type")) in _APART:
            part = TokenCounts()
            part.take({name: value for name, value in one.items() if name != "iterations"})
            total._add(part)
    return total


class UsageReader(Protocol):
    """Reads counts off an answer's body.

    Attributes:
        counts: what was read so far.
        seen: whether the upstream has said anything about usage.
        final: whether the last word on usage has been said.
    """

    counts: TokenCounts
    seen: bool
    final: bool

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""

    def finish(self) -> None:
        """The body is complete."""

    def floor(self) -> int:
        """Return the least number of output tokens that the bytes so far stand for, at 4 characters a token."""


class StreamUsage:
    """Counts from ``message_start`` and ``message_delta`` events, whichever way the stream is cut."""

    __slots__ = ("_bytes", "_events", "_tail", "counts", "final", "seen")

    def __init__(self) -> None:
        self.counts = TokenCounts()
        self.seen = False
        self.final = False
        self._tail = b""
        self._bytes = 0
        self._events = 0

    def feed(self, data: bytes) -> None:
        if self._tail:
            data = self._tail + data
        if data.endswith(b"\n"):
            self._tail = b""
        else:
            cut = data.rfind(b"\n") + 1
            data, self._tail = data[:cut], data[cut:]
            if len(self._tail) > _LONGEST_LINE:
                self._tail = b""
        if _MARK in data:
            data = self._read(data)
        elif not self.seen and _ERROR in data:  # before anything was begun: nothing was used, and that is certain
            self.seen = self.final = True
        self._bytes += len(data)
        self._events += data.count(b"\n\n")

    def _read(self, data: bytes) -> bytes:
        """Read whole lines; returns those that the floor is of."""
        at = begin = 0
        for line in data.split(b"\n"):
            at += len(line) + 1
            if _MARK in line and line.startswith(b"data:") and self._take(line[5:]):
                begin = at
        return data[begin:]

    def _take(self, text: bytes) -> bool:
        """Take what an event says; returns whether the answer begins after it."""
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            return False
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "message_start" and isinstance(event.get("message"), dict):
            self.seen = self.counts.take(event["message"].get("usage"))
            self._bytes, self._events = -1, 0  # the empty line that ends this event is still to come
            return True
        if kind == "message_delta" and self.counts.take(event.get("usage")):
            self.seen = self.final = True
        return False

    def finish(self) -> None:
        if self._tail:
            self.feed(b"\n")

    def floor(self) -> int:
        return max(self.counts.output, (self._bytes - self._events * _EVENT_FRAME) // 4)


class DocumentUsage:
    """Counts from the top-level ``usage`` of a JSON document."""

    __slots__ = ("_parts", "_size", "counts", "final", "seen")

    def __init__(self) -> None:
        self.counts = TokenCounts()
        self.seen = False
        self.final = False
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= _LARGEST_DOCUMENT:
            self._parts.append(data)

    def finish(self) -> None:
        if self._size > _LARGEST_DOCUMENT:
            return
        counts = self.read(b"".join(self._parts))
        if counts is not None:
            self.counts = counts
            self.seen = self.final = True

    def floor(self) -> int:
        return max(self.counts.output, self._size // 4)

    @staticmethod
    def read(body: bytes) -> TokenCounts | None:
        """Return the counts in a whole document."""
        return document_counts(body)


def document_counts(body: bytes) -> TokenCounts | None:
    """Return the counts in a whole JSON document, or None when it says none."""
    usage = usage_of_document(body)
    if usage is None:
        return None
    counts = TokenCounts()
    return counts if counts.take(usage) else None


def usage_of_document(body: bytes) -> dict[str, Any] | None:
    """Return the top-level ``usage`` of a JSON document, or None when there is none."""
    return (_last_field(body) or _any_field(body)) if _MARK in body else None


_decode: Final = json.JSONDecoder().raw_decode


def _last_field(body: bytes) -> dict[str, Any] | None:
    """Return ``usage`` where it is the document's last field, without reading the rest.

    What stands between the name and the document's closing brace must be one object of its own. Were the name that of
    a deeper object, a brace would be left over; were it part of a text, its quotes would be escaped.
    """
    try:
        text = body[body.rindex(_MARK) + len(_MARK) :].decode()
        usage, end = _decode(text, 1)
    except (ValueError, RecursionError):
        return None
    return usage if text[0] == ":" and text[end:] == "}" and type(usage) is dict else None


def _any_field(body: bytes) -> dict[str, Any] | None:
    """Return ``usage`` wherever it is at the top level of the document."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    usage = document.get("usage") if isinstance(document, dict) else None
    return usage if isinstance(usage, dict) else None
