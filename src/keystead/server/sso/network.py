"""Asking an identity provider, and not whatever else an administrator's address may lead to.

An organization's administrator types addresses that this server then asks. In an installation with several
organizations that would be a way into the operator's own network, so each name is resolved first, every address it
has is judged, and the connection goes to an address that was judged (a second answer of the name service is not used).
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from keystead.drivers.transport import HttpTransport
from keystead.errors import ConfigurationError, PolicyDenied, ServerUnreachable
from keystead.server.settings import ServerSettings
from keystead.wire import origin
from keystead.wire.http import Request, Response

DEADLINE: Final = 10.0
"""Seconds for one question; a person waits for the answer."""
LARGEST_ANSWER: Final = 1024 * 1024

Send = Callable[[Request], Response]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Iterable[str]]


def sender(server: ServerSettings) -> Send:
    """Return what carries a request to an identity provider."""
    judge = partial(choose, resolve=_resolve, networks=networks(server), loopback=_is_local(server))
    transport = HttpTransport(deadline=DEADLINE, guard=judge)

    def send(request: Request) -> Response:
        check_url(request.url)
        response = transport.send(request)
        if len(response.body) > LARGEST_ANSWER:
            raise ConfigurationError(
                f"{origin.parse(request.url)} answered with more than {LARGEST_ANSWER // 1024} KiB.",
                hint="Check that the address is the identity provider's.",
                move="administrator",
            )
        return response

    return send


def networks(server: ServerSettings) -> tuple[Network, ...]:
    """Return the networks that the operator has opened.

    Raises:
        ConfigurationError: the setting is not a list of networks.
    """
    try:
        return tuple(ipaddress.ip_network(one) for one in server.identity_provider_networks.replace(",", " ").split())
    except ValueError as error:
        raise ConfigurationError(
            f"KEYSTEAD_SERVER_IDENTITY_PROVIDER_NETWORKS is not a list of networks: {error}.",
            hint="Write it like 10.0.0.0/8, 192.168.7.20/32.",
            move="operator",
        ) from error


def _is_local(server: ServerSettings) -> bool:
    """Return whether this server is reached on its own machine only, so that loopback is nobody else's."""
    return origin.is_private_to_machine(server.base_url)


def check_url(url: str) -> None:
    """Refuse an address that a secret may not be sent to.

    Raises:
        ConfigurationError: not https (plain http is enough on loopback), or not an address at all.
    """
    try:
        place = origin.parse(url)
    except ValueError as error:
        raise ConfigurationError(
            f"That is not an address that can be asked: {error}.", hint="Write it like https://login.example.com."
        ) from error
    if not place.startswith("https://") and not origin.is_private_to_machine(place):
        raise ConfigurationError(f"{place} is not https.", hint="An identity provider is asked by https only.")


def choose(host: str, port: int, *, resolve: Resolve, networks: Iterable[Network], loopback: bool) -> str:
    """Return the address to connect to.

    Raises:
        PolicyDenied: one of the host's addresses is inside, and the operator has not opened that network.
    """
    opened = tuple(networks)
    found = list(resolve(host, port))
    for text in found:
        if not _permitted(ipaddress.ip_address(text), opened, loopback=loopback):
            raise PolicyDenied(
                f"{host} leads to an address inside this server's own network.",
                hint="Whoever runs the server can open it with KEYSTEAD_SERVER_IDENTITY_PROVIDER_NETWORKS.",
                move="operator",
            )
    return found[0]


def _permitted(address: Address, opened: Iterable[Network], *, loopback: bool) -> bool:
    inner = _carried(address)
    if any(inner in network for network in opened if network.version == inner.version):
        return True
    if inner.is_loopback:
        return loopback
    return inner.is_global and not inner.is_multicast


def _carried(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address only carries; such forms are how a check is walked around."""
    if isinstance(address, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        return address.ipv4_mapped or address.sixtofour or nat64 or address
    return address


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServerUnreachable(
            f"There is no address for {host}.", hint="Check how it is written.", move="administrator"
        ) from error
    return [str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]


def host_of(url: str) -> str:
    """Return the host of an address, for people to read."""
    return urlsplit(url).netloc
