"""Origins: scheme, host and port, the unit that a credential is bound to (RFC 6454, R-07)."""

from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def parse(url: str) -> str:
    """Return the origin of ``url``, lower-case and without a default port: ``https://keys.example.com``.

    Raises:
        ValueError: not an absolute http or https URL, or one that carries a user name, white space, a
            backslash or another character that two URL parsers might read differently.
    """
    if any(character <= " " or character == "\\" or character > "~" for character in url):
        raise ValueError("it contains white space, a backslash, a control or a non-ASCII character")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("it does not start with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("it contains a user name or password")
    if not parts.hostname:
        raise ValueError("it names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port  # ValueError: out of range or not a number
    return f"{parts.scheme}://{host}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def is_private_to_machine(origin: str) -> bool:
    """Tell whether ``origin`` is a loopback address, where plain http is as good as https."""
    return urlsplit(origin).hostname in _LOOPBACK
