"""Which redirect address a client may name: exactly a registered one, but for the port of a loopback address.

RFC 9700 section 4.1.3 asks for exact comparison; RFC 8252 section 7.3 lets the port of ``127.0.0.1`` and
``[::1]`` vary, since the operating system picks it. ``localhost`` is refused even if registered: a resolver
may send it anywhere (RFC 8252 section 8.3).
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

_LOOPBACK: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([1-9][0-9]{0,4}))?(/[^#]*)")
_LOCALHOST: Final = re.compile(r"[a-z]+://localhost(?:[:/?#].*)?", re.IGNORECASE)


def allowed(uri: str, registered: Iterable[str]) -> bool:
    """Return whether a client with these registered addresses may be answered at ``uri``.

    Strings are compared, never parsed addresses: two parsers that disagree are how such checks are deceived.
    """
    if "#" in uri or _LOCALHOST.fullmatch(uri):
        return False
    portless = _without_port(uri)
    return any(uri == one or (portless is not None and portless == _without_port(one)) for one in registered)


def _without_port(uri: str) -> str | None:
    """Return a loopback address with its port left out, or None for any other address."""
    match = _LOOPBACK.fullmatch(uri)
    if match is None or int(match[2] or 0) > 65_535:
        return None
    return match[1] + match[3]


def with_answer(uri: str, answer: dict[str, str]) -> str:
    """Return ``uri`` with the answer added to its query, keeping what is there (RFC 6749 section 4.1.2)."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer)}"
