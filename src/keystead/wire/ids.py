"""Identifiers on the wire: a type prefix and the UUID's 32 hex digits, such as ``org_0192f0c1…``."""

import re
from typing import Final
from uuid import UUID

_HEX: Final = re.compile(r"[0-9a-f]{32}")

PREFIXES: Final = {
    "organization": "org",
    "workspace": "wrk",
    "membership": "mem",
    "group": "grp",
    "invitation": "inv",
    "policy": "pol",
    "upstream": "upst",
    "limit": "spl",
    "terms": "trm",
    "person": "per",
    "browser_session": "brs",
    "service_account": "svac",
    "federation_issuer": "fdis",
    "federation_rule": "fdrl",
    "api_key": "key",
    "client": "cli",
    "grant": "gra",
    "registration_token": "rgt",
    "connection": "con",
    "domain": "dom",
    "identity": "idn",
    "scim_token": "sct",
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
    head = f"{PREFIXES[kind]}_"
    if not (text.startswith(head) and _HEX.fullmatch(text, len(head))):
        raise ValueError(f"not the identifier of a {kind}")
    return UUID(hex=text.removeprefix(head))
