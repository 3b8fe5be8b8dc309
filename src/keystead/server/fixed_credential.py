"""A credential for an upstream that stays what it is: one header with one value."""

from typing import Final, Literal

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.upstream_shape import Unsigned

Header = Literal["x-api-key", "api-key", "authorization"]


class FixedCredential:
    """One header line. Implements :class:`~keystead.server.upstream_shape.UpstreamCredential`.

    Args:
        value: the key or token.
        header: where the upstream wants it; in ``authorization`` it stands behind the word Bearer.
        source: what the operator calls it.

    Raises:
        ConfigurationError: it cannot be sent.
    """

    __slots__ = ("fixed", "version")

    def __init__(
        self, value: Secret, header: Header = "x-api-key", source: str = "KEYSTEAD_SERVER_UPSTREAM_API_KEY"
    ) -> None:
        text = value.reveal()
        if not text.isascii() or not text.isprintable() or " " in text or not text:
            raise ConfigurationError(
                "The upstream API key is empty or contains a character that cannot be sent.",
                hint=f"Set {source} to the key alone, on one line.",
                move="operator",
            )
        scheme = "Bearer " if header == "authorization" else ""
        self.fixed: bytes | None = f"{header}: {scheme}{text}\r\n".encode("ascii")
        self.version = 0

    def lines(self, _request: Unsigned) -> bytes:
        return self.fixed or b""

    def __repr__(self) -> str:
        return "FixedCredential()"


class _NoCredential:
    """An upstream that asks for none."""

    fixed: bytes | None = b""
    version = 0

    def lines(self, _request: Unsigned) -> bytes:
        return b""


NO_CREDENTIAL: Final = _NoCredential()
