"""What an exchange needs of the connection its request came in on."""

from collections.abc import Callable
from typing import Protocol

from keystead.server.gateway.refusals import Refusal


class Client(Protocol):
    """The connection a request came in on."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Send bytes to the client; the transport's own method, without a step between."""

    def awaiting(self, seconds: float) -> None:
        """Expect the next sign of life within ``seconds``."""

    def closes_after(self) -> bool:
        """Return whether the connection ends with this answer."""

    def is_old(self) -> bool:
        """Return whether the client speaks HTTP/1.0, which knows no chunks."""

    def refuse(self, refusal: Refusal) -> None:
        """Answer by ourselves."""

    def finished(self, *, close: bool) -> None:
        """The answer is complete."""

    def cut(self) -> None:
        """End the connection in a way that cannot be taken for a complete answer."""
