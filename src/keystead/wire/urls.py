"""What an address must look like before a secret may go there."""

import re
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Browsers and HTTP libraries disagree about these, and a disagreement about the host is how secrets leave.
_SUSPICIOUS: Final = re.compile(r"[\x00-\x20\x7f-\uffff\\]")


def origin(url: str) -> str:
    """Return ``scheme://host[:port]`` in lower case, the default port left out (RFC 6454).

    Raises:
        ValueError: not an absolute http or https address, or one with a user name in it.
    """
    if _SUSPICIOUS.search(url):
        raise ValueError("the address has a space, a backslash or a character outside ASCII")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("the address does not start with https:// or http:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address has a user name in it")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port
    return f"{parts.scheme}://{host}" + ("" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}")


def is_loopback(url: str) -> bool:
    """Whether the address names this machine: 127.0.0.1, [::1] or localhost."""
    return urlsplit(url).hostname in _LOOPBACK


def base(url: str) -> str:
    """Return a server's base address without a trailing slash.

    Raises:
        ValueError: it is not an origin with an optional path, or it is ``http://`` on another machine, where
            anyone on the way could read the tokens.
    """
    address = origin(url)
    parts = urlsplit(url)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError("the address has a query or a fragment")
    if parts.scheme == "http" and not is_loopback(url):
        raise ValueError("http:// is allowed on this machine only; use https://")
    return (address + parts.path).rstrip("/")
