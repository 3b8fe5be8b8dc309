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

    __slots__ = ("_header", "_source", "fixed", "version")

    def __init__(
        self, value: Secret, header: Header = "x-api-key", source: str = "KEYSTEAD_SERVER_UPSTREAM_API_KEY"
    ) -> None:
        self._header = header
        self._source = source
        self.version = 0
        self.fixed: bytes | None = self._line(value)

    def renew(self, value: Secret) -> None:
        """Show another value from the next request on, where the same place holds another one now.

        Raises:
            ConfigurationError: it cannot be sent; the one before stays.
        """
        self.fixed = self._line(value)
        self.version += 1

    def _line(self, value: Secret) -> bytes:
        text = value.reveal()
        if not text.isascii() or not text.isprintable() or " " in text or not text:
            raise ConfigurationError(
                "The upstream API key is empty or contains a character that cannot be sent.",
                hint=f"Set {self._source} to the key alone, on one line.",
                move="operator",
            )
        scheme = "Bearer " if self._header == "authorization" else ""
        return f"{self._header}: {scheme}{text}\r\n".encode("ascii")

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
