"""What a request needs as long as another upstream may be asked: who is left, the body, and the answer set aside."""

from typing import Final, NamedTuple

from keystead.server.gateway.ports import Upstream
from keystead.wire.http1 import ResponseHead
from keystead.wire.model_scan import RequestFacts

LARGEST: Final = 65_536
"""Bytes of an error that are kept; of one that is longer nothing is."""


class Kept(NamedTuple):
    """A whole answer that was not passed on, for when no other one comes."""

    upstream: Upstream
    head: ResponseHead
    raw: bytes
    payload: bytes


class Attempts:
    """The state between two attempts: there from the first one to the first byte that goes out, and not after that.

    Attributes:
        facts: of the body.
        body: as the client sent it.
        left: upstreams that have not been asked yet, the next one first.
        kept: the last whole answer that was set aside.
        reading: the answer whose rest is being read, with its upstream.
    """

    __slots__ = ("_payload", "_raw", "_size", "body", "facts", "kept", "left", "reading")

    def __init__(self, left: list[Upstream], facts: RequestFacts, body: bytes) -> None:
        self.left = left
        self.facts = facts
        self.body = body
        self.kept: Kept | None = None
        self.reading: tuple[Upstream, ResponseHead] | None = None

    def begin(self, upstream: Upstream, head: ResponseHead) -> None:
        """An answer is set aside, and its body is to come."""
        self.reading = upstream, head
        self._raw: list[bytes] = []
        self._payload: list[bytes] = []
        self._size = 0

    def take(self, raw: bytes, payload: bytes) -> None:
        """Keep a piece of it while it is short enough."""
        self._size += len(raw)
        if self._size > LARGEST:
            self._raw, self._payload = [], []
        else:
            self._raw.append(raw)
            self._payload.append(payload)

    def end(self) -> None:
        """It is complete."""
        if self.reading is not None and self._size <= LARGEST:
            self.kept = Kept(*self.reading, b"".join(self._raw), b"".join(self._payload))
        self.reading = None
