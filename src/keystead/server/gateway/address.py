"""What an upstream's configured address and headers come to: a place to connect to, and the same lines every time."""

import re
import ssl
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from keystead.errors import ConfigurationError
from keystead.server.gateway.ports import Upstream

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED: Final = frozenset({"connection", "content-length", "host", "transfer-encoding"})
"""What this connection needs said as it is."""


@lru_cache(maxsize=1)
def usual_tls() -> ssl.SSLContext:
    """Return the context with the system's authorities; reading them takes longer than many requests."""
    return ssl.create_default_context()


def place_of(base_url: str) -> SplitResult:
    """Return the parts of an upstream's address.

    Raises:
        ConfigurationError: it is not one; a password in it is not repeated.
    """
    parts = _parts(base_url)
    if "@" in base_url:
        raise ConfigurationError(
            "The upstream address contains a user name or password.",
            hint="Put the credential into KEYSTEAD_SERVER_UPSTREAM_API_KEY.",
            move="operator",
        )
    if parts is None or parts.query or parts.fragment:
        raise ConfigurationError(
            f"The upstream address {base_url!r} is not of the form https://host[:port][/prefix].",
            hint="Correct KEYSTEAD_SERVER_UPSTREAM_URL.",
            move="operator",
        )
    return parts


def _parts(base_url: str) -> SplitResult | None:
    """Return scheme, host, port and path, or None when there is no host that could be connected to."""
    if not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        return None
    try:
        parts = urlsplit(base_url)
        return parts if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def fixed_lines(upstream: Upstream, host: bytes) -> tuple[bytes, frozenset[bytes]]:
    """Return the request lines that are the same every time, and the names that the upstream's own lines have.

    Raises:
        ConfigurationError: a header cannot be sent.
    """
    for name, value in upstream.headers:
        if not _NAME.fullmatch(name) or not value.isascii() or not value.isprintable() or name.lower() in _RESERVED:
            raise ConfigurationError(
                f"The header {name!r} of the upstream {upstream.name!r} cannot be sent.",
                hint="Correct its name, or remove from its value what is not printable ASCII.",
                move="administrator",
            )
    own = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in upstream.headers]
    lines = [(b"host", host), (b"accept-encoding", b"identity"), *own]
    return b"".join([b"%b: %b\r\n" % line for line in lines]), frozenset(name for name, _ in own)
