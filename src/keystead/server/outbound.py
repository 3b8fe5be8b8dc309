"""Asking an address that somebody configured, without becoming their tool to reach our own network (SSRF).

Only https (http on loopback, where that is allowed at all), only addresses that are public or in a network the
operator named, checked once and then connected to by number, so that a name cannot change its mind in between. No
redirect is followed, no proxy is used; time and size are bounded. Addresses from which a machine in a cloud learns its
own credentials are never asked, whatever is opened.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode, urlsplit

from keystead import __version__
from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings
from keystead.wire import origin

DEADLINE: Final = 5.0
"""Seconds to resolve the name, and again for everything after it."""
LARGEST: Final = 262_144

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_CARRIERS: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
"""NAT64 (RFC 6052), and two forms that nobody uses any more but whoever wants to walk around a check."""
_LOCAL: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "fec0::/10")))
"""Of one site only (RFC 8215, RFC 3879), whatever Python's own table says."""
_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Of Alibaba, Azure, Oracle, Amazon and Google: those that are not link-local, one of them even public."""
Resolve = Callable[[str, int], Sequence[str]]


class NotFetched(Exception):
    """The document could not be had; the message is one sentence for the administrator who configured it."""


@dataclass(frozen=True, slots=True)
class _Place:
    scheme: str
    host: str
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses may be asked beside the public ones.

    Attributes:
        networks: those that the operator has opened.
        loopback: whether this machine itself may be, because the server is reached from it only.
        plain: whether http is taken in the opened networks too, and not only on loopback.
        setting: by which the operator opens networks.
    """

    networks: tuple[Network, ...] = ()
    loopback: bool = False
    plain: bool = False
    setting: str = "KEYSTEAD_SERVER_IDENTITY_PROVIDER_NETWORKS"


def reach(server: ServerSettings) -> Reach:
    """Return what the operator has opened for identity providers and clients.

    Raises:
        ConfigurationError: the setting is not a list of networks.
    """
    return _opened(server.identity_provider_networks, Reach(), server)


def upstream_reach(server: ServerSettings) -> Reach:
    """Return what the operator has opened for upstreams; raises like :func:`reach`."""
    return _opened(server.upstream_networks, Reach(plain=True, setting="KEYSTEAD_SERVER_UPSTREAM_NETWORKS"), server)


def _opened(networks: str, closed: Reach, server: ServerSettings) -> Reach:
    try:
        named = tuple(map(ipaddress.ip_network, networks.replace(",", " ").split()))
    except ValueError as error:
        raise ConfigurationError(
            f"{closed.setting} is not a list of networks: {error}.",
            hint="Write it like 10.0.0.0/8, 192.168.7.20/32.",
            move="operator",
        ) from error
    return replace(closed, networks=named, loopback=origin.is_private_to_machine(server.base_url))


def permitted(address: Address, within: Reach) -> bool:
    """Return whether an address may be connected to."""
    inner = _carried(address)
    if is_metadata(inner):
        return False
    if _is_opened(inner, within):
        return True
    if inner.is_loopback:
        return within.loopback
    return inner.is_global and not inner.is_multicast and not any(inner in one for one in _LOCAL)


def permitted_plain(address: Address, within: Reach) -> bool:
    """Return whether a permitted address may be asked without TLS."""
    inner = _carried(address)
    return inner.is_loopback or (within.plain and _is_opened(inner, within))


def is_metadata(address: Address) -> bool:
    """Return whether a machine in a cloud learns its own credentials there, or the address is of one link only."""
    inner = _carried(address)
    return inner.is_link_local or inner in _METADATA


def _is_opened(address: Address, within: Reach) -> bool:
    return any(address in network for network in within.networks if network.version == address.version)


def _carried(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address only carries; such forms are how a check is walked around."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or _translated(address) or address
    return address


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if int(address) > 1 and any(address in one for one in _CARRIERS):  # :: and ::1 are what they are
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def check_address(url: str) -> str | None:
    """Return why ``url`` can never be fetched, or None; asks no name server."""
    try:
        _place(url)
    except NotFetched as error:
        return str(error)
    return None


def _resolve(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def fetch(url: str, within: Reach = Reach(), ca_pem: str | None = None, resolve: Resolve = _resolve) -> bytes:
    """Return the body of a 200 answer to a GET.

    Args:
        url: what to fetch.
        within: what may be reached beside all public addresses.
        ca_pem: authorities to trust instead of the system's, as PEM.
        resolve: the addresses of a host.

    Raises:
        NotFetched: it may not be fetched, or could not.
    """
    place = _place(url)
    with _connected(place, within, ca_pem, resolve) as stream:
        stream.sendall(_head(place, "GET", {"Accept": "application/json", "Accept-Encoding": "identity"}))
        with http.client.HTTPResponse(stream, method="GET") as response:
            response.begin()
            if response.status != 200:
                raise NotFetched(f"{place.host} answered with status {response.status}.")
            body = response.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise NotFetched(f"{place.host} sent more than {LARGEST} bytes.")
    return body


def post(url: str, form: Mapping[str, str], within: Reach = Reach(), resolve: Resolve = _resolve) -> int:
    """Send a form, and return the status of the answer; a redirect is an answer, and what else it says is not read.

    Args:
        url: where to.
        form: what the body says.
        within: what may be reached beside all public addresses.
        resolve: the addresses of a host.

    Raises:
        NotFetched: it may not be asked, or did not answer in time.
    """
    place, body = _place(url), urlencode(form).encode("ascii")
    about = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    with _connected(place, within, None, resolve) as stream:
        stream.sendall(_head(place, "POST", about) + body)
        with http.client.HTTPResponse(stream, method="POST") as response:
            response.begin()
            return response.status


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status; no more than :data:`LARGEST` bytes of its body."""

    status: int
    body: bytes = field(repr=False)


def ask(
    method: str,
    url: str,
    lines: bytes,
    body: bytes,
    within: Reach = Reach(),
    tls: ssl.SSLContext | None = None,
    resolve: Resolve = _resolve,
) -> Answer:
    """Send one request as it stands, with the credential that its lines may carry.

    Args:
        method: GET or POST.
        url: where to.
        lines: header lines, each with its line end, but for those of host, length and connection.
        body: what the request says; empty for none.
        within: what may be reached beside all public addresses.
        tls: how a certificate is verified; by default with the system's authorities.
        resolve: the addresses of a host.

    Raises:
        NotFetched: it may not be asked, or did not answer in time.
    """
    place = _place(url)
    about = {"Accept-Encoding": "identity"} | ({"Content-Length": str(len(body))} if body else {})
    head = _head(place, method, about)
    with _connected(place, within, None, resolve, tls) as stream:
        stream.sendall(head[:-2] + lines + b"\r\n" + body)
        with http.client.HTTPResponse(stream, method=method) as response:
            response.begin()
            return Answer(response.status, response.read(LARGEST))


@contextlib.contextmanager
def _connected(
    place: _Place, within: Reach, ca_pem: str | None, resolve: Resolve, tls: ssl.SSLContext | None = None
) -> Iterator[socket.socket]:
    """Give a connection to an allowed address of the place; what goes wrong on it is told as :class:`NotFetched`."""
    address = _allowed(place, _in_time(resolve, place), within)
    context = tls if tls is not None and place.scheme == "https" else _trust(place, ca_pem)
    try:
        with socket.create_connection((str(address), place.port), DEADLINE) as plain, _ended_in_time(plain):
            if context is None:
                yield plain
                return
            with context.wrap_socket(plain, server_hostname=place.host) as stream:
                yield stream
    except ssl.SSLError as error:
        raise NotFetched(f"{place.host} could not be verified: {error.reason or 'TLS failed'}.") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotFetched(f"{place.host} could not be reached: {type(error).__name__}.") from error


@contextlib.contextmanager
def _ended_in_time(connection: socket.socket) -> Iterator[None]:
    """End the connection at the deadline: a time-out of a single read would let a slow sender go on for ever."""
    file = connection.dup()  # wrapping in TLS detaches the original

    def end() -> None:
        with contextlib.suppress(OSError):
            file.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(DEADLINE, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        file.close()


def _place(url: str) -> _Place:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise NotFetched("That is not an address.") from error
    if not url.isascii() or not url.isprintable() or " " in url or not host or parts.fragment or "@" in parts.netloc:
        raise NotFetched("An address here has a host, and neither credentials nor a fragment.")
    if parts.scheme not in {"https", "http"}:
        raise NotFetched("Only https addresses are fetched.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target)


def _in_time(resolve: Resolve, place: _Place) -> Sequence[str]:
    """Resolve within the deadline: the system's resolver knows none, so it is asked in a thread of its own."""
    found: list[Sequence[str]] = []

    def ask() -> None:
        try:
            found.append(resolve(place.host, place.port))
        except (OSError, UnicodeError):
            found.append(())

    thread = threading.Thread(target=ask, name="outbound-resolve", daemon=True)
    thread.start()
    thread.join(DEADLINE)
    if not found or not found[0]:
        raise NotFetched(f"The name {place.host} could not be resolved.")
    return found[0]


def _allowed(place: _Place, addresses: Sequence[str], within: Reach) -> Address:
    """Return the address to connect to; every one of them must be allowed, for the name's owner chooses the order."""
    parsed = [ipaddress.ip_address(one.partition("%")[0]) for one in addresses]
    for address in parsed:
        if is_metadata(address):
            raise NotFetched(
                f"{place.host} leads to an address of this server's own link or cloud, which is never asked."
            )
        if not permitted(address, within):
            raise NotFetched(
                f"{place.host} leads to an address inside this server's own network; whoever runs the server can open "
                f"it with {within.setting}."
            )
        if place.scheme == "http" and not permitted_plain(address, within):
            raise NotFetched("Only https addresses are fetched.")
    return parsed[0]


def _trust(place: _Place, ca_pem: str | None) -> ssl.SSLContext | None:
    if place.scheme == "http":
        return None
    if ca_pem is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise NotFetched("The certificate authority is not PEM.") from error


def _head(place: _Place, method: str, more: Mapping[str, str]) -> bytes:
    standard = place.port == {"https": 443, "http": 80}[place.scheme]
    host = f"[{place.host}]" if ":" in place.host else place.host
    headers = {
        "Host": host if standard else f"{host}:{place.port}",
        **more,
        "User-Agent": f"keystead/{__version__}",
        "Connection": "close",
    }
    lines = [f"{method} {place.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii")
