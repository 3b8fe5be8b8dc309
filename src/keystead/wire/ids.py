"""Identifiers on the wire: a type prefix and the UUID's 32 hex digits, such as ``org_0192f0c1…``."""

from typing import Final
from uuid import UUID

PREFIXES: Final = {
    "organization": "org",
    "workspace": "wrk",
    "membership": "mem",
    "person": "per",
    "api_key": "key",
    "client": "cli",
    "grant": "gra",
    "usage_record": "use",
    "audit_event": "evt",
    "request": "req",
}


def dump(kind: str, value: UUID) -> str:
    """Return the wire form of ``value``; ``kind`` is a key of :data:`PREFIXES`."""
    return f"{PREFIXES[kind]}_{value.hex}"


def parse(kind: str, text: str) -> UUID:
    """Return the UUID behind ``text``.

    Raises:
        ValueError: ``text`` is not an identifier of that kind.
    """
    prefix, separator, rest = text.partition("_")
    if prefix != PREFIXES[kind] or not separator or len(rest) != 32 or rest != rest.lower():
        raise ValueError(f"not an identifier of a {kind}")
    value = UUID(hex=rest)
    if value.hex != rest:
        raise ValueError(f"not an identifier of a {kind}")
    return value
