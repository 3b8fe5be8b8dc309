"""Whether the proxy variables can work, and whether they apply to where the credential goes (R-13)."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from keystead.cli.doctor.finding import Finding, Ground, Weight

PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_SCHEMES: Final = frozenset({"http", "https", "socks5", "socks5h"})


def look(ground: Ground) -> Iterator[Finding]:
    """Look at each variable and its lower-case twin, which some programs read instead."""
    variables = ground.environment.variables
    for name in (*PROXIES, "NO_PROXY"):
        upper, lower = variables.get(name), variables.get(name.lower())
        if upper is not None and lower is not None and upper != lower:
            yield Finding(
                Weight.WARNING,
                f"{name} and {name.lower()} differ, and programs do not agree which one counts",
                name,
                f"Give both the same value, or unset {name.lower()}.",
            )
    for name in PROXIES:
        value = variables.get(name.lower()) or variables.get(name)
        if value:
            yield from _address(name, value)


def _address(name: str, value: str) -> Iterator[Finding]:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        yield Finding(
            Weight.PROBLEM,
            f"{name} is not the address of a proxy",
            name,
            "Write it like http://proxy.example.com:3128.",
        )
        return
    if parts.password:
        yield Finding(
            Weight.WARNING, f"{name} contains a password, which every program you start can read", name,
            "Use a local proxy that signs in for you.",
        )  # fmt: skip
    where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    yield Finding(Weight.NOTE, f"requests go through {where}, except to this machine and NO_PROXY", name)
