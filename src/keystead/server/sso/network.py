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
from keystead.server.outbound import Network, Reach, permitted, reach
from keystead.server.settings import ServerSettings
from keystead.wire import origin
from keystead.wire.http import Request, Response

DEADLINE: Final = 10.0
"""Seconds for one question; a person waits for the answer."""
LARGEST_ANSWER: Final = 1024 * 1024

Send = Callable[[Request], Response]
Resolve = Callable[[str, int], Iterable[str]]


def sender(server: ServerSettings, deadline: float = DEADLINE) -> Send:
    """Return what carries a request to an identity provider."""
    opened = reach(server)
    judge = partial(choose, resolve=_resolve, networks=opened.networks, loopback=opened.loopback)
    transport = HttpTransport(deadline=deadline, guard=judge)

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
    opened = Reach(tuple(networks), loopback)
    found = list(resolve(host, port))
    for text in found:
        if not permitted(ipaddress.ip_address(text), opened):
            raise PolicyDenied(
                f"{host} leads to an address inside this server's own network.",
                hint="Whoever runs the server can open it with KEYSTEAD_SERVER_IDENTITY_PROVIDER_NETWORKS.",
                move="operator",
            )
    return found[0]


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
