"""What every translator of answers needs: it stands in for the one who asked."""

from typing import TYPE_CHECKING, Final

from keystead.wire.http1 import ResponseHead

if TYPE_CHECKING:
    from keystead.server.gateway.upstream import Connection, Failure, Listener

END: Final = b"0\r\n\r\n"
"""Ends a body in chunks."""


class Translation:
    """Passes everything on as it is; a translator overrides what it changes.

    Implements :class:`~keystead.server.gateway.upstream.Listener`. ``connection`` and ``gone`` are those of the one who
    asked, so that a slow client still slows the upstream down and a lost one still stops it. What is passed on must be
    framed as the head that was passed on says: :func:`events` and :func:`chunk` make a chunked stream of events.

    An answer that cannot be translated raises :class:`~keystead.wire.http1.MalformedResponse`, which becomes this
    upstream's failure; any other exception would be a defect of the translator.

    Args:
        asked: who wants the answer in Messages form.
    """

    __slots__ = ("asked",)

    def __init__(self, asked: "Listener") -> None:
        self.asked = asked

    @property
    def connection(self) -> "Connection | None":
        return self.asked.connection

    @connection.setter
    def connection(self, connection: "Connection | None") -> None:
        self.asked.connection = connection

    @property
    def gone(self) -> bool:
        return self.asked.gone

    @gone.setter
    def gone(self, gone: bool) -> None:
        self.asked.gone = gone

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        self.asked.on_head(head, more=more)

    def on_body(self, raw: bytes, payload: bytes) -> None:
        self.asked.on_body(raw, payload)

    def on_end(self) -> None:
        self.asked.on_end()

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        self.asked.on_answer(head, body)

    def on_failure(self, failure: "Failure") -> None:
        self.asked.on_failure(failure)


def events(head: ResponseHead) -> ResponseHead:
    """Return the head of a stream of events in chunks, with the status of ``head``."""
    fields = b"\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked"
    return ResponseHead(head.status, fields, b"text/event-stream", None, chunked=True, keep_alive=True)


def document(status: int, body: bytes) -> ResponseHead:
    """Return the head of a JSON document."""
    fields = b"\r\ncontent-type: application/json\r\ncontent-length: %d" % len(body)
    return ResponseHead(status, fields, b"application/json", len(body), chunked=False, keep_alive=True)


def chunk(payload: bytes) -> bytes:
    """Return ``payload``, which is not empty, as one chunk (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
