"""Server-sent events (the WHATWG HTML standard, section 9.2), read incrementally, however the bytes are cut."""

from dataclasses import dataclass
from typing import Final

LARGEST_EVENT: Final = 16 * 1024 * 1024
"""Bytes an event may have; a stream that never ends a line must not fill the memory."""
_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """A line or an event is larger than :data:`LARGEST_EVENT`."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name (``message`` when the stream gives none) and its data."""

    name: str
    data: str


class Parser:
    """Turns pieces of a body into events. One parser for one stream."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that ``chunk`` completes.

        Raises:
            EventTooLarge: see :data:`LARGEST_EVENT`.
        """
        buffer = self._rest + chunk
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._rest = buffer
                return []
            self._started = True
            buffer = buffer.removeprefix(_BOM)
        # A final CR may be half of a CRLF: it waits for the next byte.
        held = b"\r" if buffer.endswith(b"\r") else b""
        lines = _split(buffer[: len(buffer) - len(held)])
        self._rest = lines.pop() + held
        if len(self._rest) + self._size > LARGEST_EVENT:
            raise EventTooLarge("an event of the stream is too large")
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
            self._size += len(value)
        return None  # comments, id, retry: nothing that Keystead uses

    def _dispatch(self) -> Event | None:
        event = Event(self._name or "message", "\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event


def _split(buffer: bytes) -> list[bytes]:
    """Split at CRLF, CR and LF, and at nothing else; the last piece is the unfinished line."""
    return buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


def dump(event: Event) -> bytes:
    """Return the bytes of an event; :class:`Parser` gives it back.

    Raises:
        ValueError: the name has a line break, which would end it.
    """
    if "\n" in event.name or "\r" in event.name:
        raise ValueError("an event's name has no line breaks")
    data = event.data.replace("\r\n", "\n").replace("\r", "\n")
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {event.name}\n{lines}\n".encode()
