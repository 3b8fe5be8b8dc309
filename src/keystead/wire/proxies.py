"""Which proxy a request goes through, by the variables everybody uses and the exceptions in ``NO_PROXY`` (R-13)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that names it.

    Attributes:
        url: with the password, if there is one; hidden in ``repr``.
    """

    name: str
    url: str = field(repr=False)

    @property
    def shown(self) -> str:
        """The address without a password, and the variable."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]} ({self.name})"


def choose(origin: str, variables: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for ``origin``, or None to go there directly.

    The lower-case name of a variable counts before the upper-case one, as in curl.
    """
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if _excepted(host, port, variables.get("no_proxy", variables.get("NO_PROXY", ""))):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            value = variables.get(spelling, "").strip()
            if value:
                return Proxy(spelling, value if "://" in value else f"http://{value}")
    return None


def _excepted(host: str, port: int, exceptions: str) -> bool:
    return any(_matches(host, port, one.strip().lower()) for one in exceptions.split(",") if one.strip())


def _matches(host: str, port: int, exception: str) -> bool:
    """Whether one entry of ``NO_PROXY`` means ``host``: a name, a suffix, an address, a network, each with a port."""
    if exception == "*":
        return True
    if "/" in exception:
        return _in_network(host, exception)
    name, given_port = _split(exception)
    if given_port is not None and given_port != str(port):
        return False
    if name.startswith("."):
        return host.endswith(name)
    return host == name or host.endswith(f".{name}")


def _split(exception: str) -> tuple[str, str | None]:
    """Return name and port of an entry; an IPv6 address has colons of its own and brackets before a port."""
    if exception.startswith("["):
        name, _, rest = exception[1:].partition("]")
        return name, rest.removeprefix(":") or None
    if exception.count(":") == 1:
        name, _, port = exception.partition(":")
        return name.removeprefix("*"), port
    return exception.removeprefix("*"), None


def _in_network(host: str, network: str) -> bool:
    import ipaddress  # on demand: most lists name no network

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
