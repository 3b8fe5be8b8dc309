"""An administrator's address does not lead into the operator's own network."""

import ipaddress

import pytest

from keystead.errors import ConfigurationError, PolicyDenied
from keystead.server.sso.network import check_url, choose

INSIDE = [
    "127.0.0.1",
    "::1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "fd00::1",
    "fe80::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.requirement("sso ssrf")
@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    with pytest.raises(PolicyDenied):
        choose("login.example.com", 443, resolve=lambda *_: [address], networks=(), loopback=False)


@pytest.mark.parametrize("address", INSIDE)
def test_one_address_inside_among_others_is_enough(address: str) -> None:
    with pytest.raises(PolicyDenied):
        choose("login.example.com", 443, resolve=lambda *_: ["93.184.216.34", address], networks=(), loopback=False)


def test_a_public_address_is_the_one_that_is_connected_to() -> None:
    found = choose("login.example.com", 443, resolve=lambda *_: ["93.184.216.34"], networks=(), loopback=False)

    assert found == "93.184.216.34"


def test_the_operator_can_open_a_network() -> None:
    opened = (ipaddress.ip_network("10.0.0.0/8"),)

    assert choose("x", 443, resolve=lambda *_: ["10.1.2.3"], networks=opened, loopback=False) == "10.1.2.3"
    with pytest.raises(PolicyDenied):
        choose("x", 443, resolve=lambda *_: ["192.168.1.1"], networks=opened, loopback=False)


def test_loopback_is_open_to_a_server_on_loopback_alone() -> None:
    assert choose("localhost", 80, resolve=lambda *_: ["127.0.0.1"], networks=(), loopback=True) == "127.0.0.1"


@pytest.mark.parametrize("url", ["http://login.example.com/", "ftp://x", "https://user@x/", "https://", "file:///etc"])
def test_an_address_that_a_secret_may_not_go_to_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        check_url(url)


def test_the_host_is_kept_and_the_judged_address_is_used() -> None:
    """The name may answer differently a second time: the request still goes where it was judged."""
    from local_server import local_server

    from keystead.drivers.transport import HttpTransport
    from keystead.wire.http import Request

    with local_server({"GET /": (200, "text/plain", "here")}) as server:
        transport = HttpTransport(guard=lambda _host, _port: "127.0.0.1")
        answer = transport.send(Request("GET", f"http://no-such-host.invalid:{server.port}/"))

    assert answer.body == b"here"
    assert server.asked[0].headers["host"] == f"no-such-host.invalid:{server.port}"
