"""Which address a request came from, when proxies stand before the server; pure.

A header that names an address is a claim by whoever sent it. It is believed hop by hop, from this server outwards: the
peer of the connection is known; what a trusted proxy says of the hop before it is believed; the first hop that is no
trusted proxy is the client. Whatever that one has written itself stands further out and is never read.

One header counts, the one that the operator names. A proxy passes on what it does not know, so the other one may come
from anybody, and there is no rule by which two that disagree could be reconciled.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Iterable[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_CLIENT_PREFIX: Final = 64
"""The least that a provider gives one customer, who chooses among its addresses freely (RFC 6177, RFC 4291)."""

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR: Final = re.compile(
    rf'[ \t]*({_TOKEN})=(?:({_TOKEN})|"((?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*)")[ \t]*'
)
_BLANK: Final = re.compile(r"[ \t]*")
_PORT: Final = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_IPV6: Final = r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]+"
_NODE: Final = re.compile(rf"([0-9.]+){_PORT}|\[({_IPV6})\]{_PORT}|({_IPV6})")
_FORWARDING: Final = re.compile(rb"forwarded|x-real-ip|x-forwarded-.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Proxies:
    """Who may say where a request came from, and by which header.

    Attributes:
        networks: the addresses of the proxies.
        header: its name in lower case: ``x-forwarded-for`` or ``forwarded``.
    """

    networks: tuple[Network, ...] = ()
    header: bytes = b"x-forwarded-for"

    def trust(self, address: Address) -> bool:
        """Return whether it is a proxy's."""
        return any(address in network for network in self.networks)


def proxies(server: ServerSettings) -> Proxies:
    """Return what the operator has set.

    Raises:
        ConfigurationError: a setting cannot be read, or would trust everybody.
    """
    header = server.client_address_header.strip().lower().encode()
    if header not in _NODES:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_CLIENT_ADDRESS_HEADER must be X-Forwarded-For or Forwarded.",
            hint="Name the one that your proxies set.",
            move="operator",
        )
    try:
        named = [_network(one) for one in server.trusted_proxies.replace(",", " ").split()]
    except ValueError as error:
        raise ConfigurationError(
            f"KEYSTEAD_SERVER_TRUSTED_PROXIES is not a list of addresses and networks: {error}.",
            hint="Write it like 10.0.0.7, fd00:7::/64.",
            move="operator",
        ) from error
    for version in (4, 6):
        if any(network.prefixlen == 0 for network in _together(named, version)):
            raise ConfigurationError(
                f"KEYSTEAD_SERVER_TRUSTED_PROXIES covers every IPv{version} address: then anybody could claim to be "
                "anybody, and no limit would hold.",
                hint="List the addresses of your proxies only.",
                move="operator",
            )
    return Proxies(tuple(named), header)


def client(peer: Address, headers: Headers, known: Proxies) -> Address:
    """Return the address of the client: the first hop, seen from here, that is no trusted proxy.

    Where a trusted proxy names no address (an obfuscated identifier, ``unknown``, anything malformed) the walk ends
    with that proxy: its address is the last that is known.

    Args:
        peer: the other end of the connection.
        headers: names in lower case and values, in the order in which they came.
        known: the proxies, and the header that counts.
    """
    here = _plain(peer)
    if not known.trust(here):
        return here
    lines = [value.decode("latin-1") for name, value in headers if name == known.header]
    for node in (node for line in reversed(lines) for node in reversed(_NODES[known.header](line))):
        before = _node(node)
        if before is None:
            return here
        here = before
        if not known.trust(here):
            return here
    return here


def resolved(scope: Scope, known: Proxies) -> Scope:
    """Return an ASGI scope whose client is the one above, without the headers of proxies.

    WSGI writes ``X_Forwarded_For`` and ``X-Forwarded-For`` alike, so what this has read may not be read again behind
    it; and nothing there is to learn a scheme or a host from a header, for ``public_url`` says both.
    """
    headers = scope["headers"]
    kept = [(name, value) for name, value in headers if not _FORWARDING.fullmatch(name.replace(b"_", b"-").lower())]
    found = of_scope(scope, known)
    return {**scope, "headers": kept} if found is None else {**scope, "headers": kept, "client": (found, 0)}


def of_scope(scope: Scope, known: Proxies) -> str | None:
    """Return the client's address of an ASGI scope, or None where the connection is between no addresses."""
    return seen_from(str((scope.get("client") or ("",))[0]), scope["headers"], known)


def seen_from(peer: str | None, headers: Headers, known: Proxies) -> str | None:
    """Return the client's address of a request that came from ``peer``, or None where that is no address."""
    address = _address((peer or "").partition("%")[0])
    return None if address is None else str(client(address, headers, known))


def counted_as(address: str) -> str:
    """Return what limits on attempts count by: an IPv4 address itself, an IPv6 address by its /64."""
    parsed = _address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed, _CLIENT_PREFIX), strict=False))
    return address if parsed is None else str(parsed)


def _network(text: str) -> Network:
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        inner = network.network_address.ipv4_mapped
        assert inner is not None
        return ipaddress.IPv4Network((inner, network.prefixlen - _MAPPED.prefixlen))
    return network


def _together(networks: list[Network], version: int) -> Iterable[Network]:
    """Return the networks of one version, joined: two halves cover everything as well."""
    if version == 4:
        return ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv4Network))
    return ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv6Network))


def _plain(address: Address) -> Address:
    """Return the IPv4 address that a socket for both families shows mapped (RFC 4291 section 2.5.5.2)."""
    return getattr(address, "ipv4_mapped", None) or address


def _address(text: str) -> Address | None:
    try:
        return _plain(ipaddress.ip_address(text))
    except ValueError:
        return None


def _node(text: str) -> Address | None:
    """Return the address of a node (RFC 7239 section 6), or None: obfuscated, ``unknown``, or none at all.

    IPv6 is understood without brackets too, as ``X-Forwarded-For`` has it; then there is no port.
    """
    found = _NODE.fullmatch(text)
    return None if found is None else _address(next(filter(None, found.groups())))


def _listed(line: str) -> list[str]:
    """Return the nodes of one ``X-Forwarded-For``, which no standard describes."""
    return [node for one in line.split(",") if (node := one.strip(" \t"))]


def _forwarded(line: str) -> list[str]:
    """Return the nodes of one ``Forwarded`` (RFC 7239 section 4); of an element without ``for``, nothing.

    A line that is malformed anywhere is one hop that nobody knows: its quotes may hide what the last proxy has added. A
    quoted string ends with its line, so a line that a client left open spoils no other.
    """
    nodes: list[str] = []
    element: dict[str, str] = {}
    position = 0
    while True:
        if pair := _PAIR.match(line, position):
            name, value = pair[1].lower(), pair[2] if pair[3] is None else re.sub(r"\\(.)", r"\1", pair[3])
            if name in element:
                return [""]
            element[name] = value
            position = pair.end()
        elif blank := _BLANK.match(line, position):
            position = blank.end()
        after = line[position : position + 1]
        if after not in {"", ",", ";"}:
            return [""]
        if after != ";" and element:
            nodes.append(element.get("for", ""))
            element = {}
        if not after:
            return nodes
        position += 1


_NODES: Final[dict[bytes, Callable[[str], list[str]]]] = {b"x-forwarded-for": _listed, b"forwarded": _forwarded}
"""How each header that may count is taken apart."""
