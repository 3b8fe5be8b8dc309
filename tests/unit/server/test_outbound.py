"""Fetching what somebody configured: public addresses only, one answer, bounded, and no way round by names."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from local_server import local_server, make_certificate

from keystead.errors import ConfigurationError
from keystead.server import outbound
from keystead.server.outbound import NotFetched, Reach, fetch, post, reach
from keystead.server.settings import ServerSettings

LOOPBACK = Reach(loopback=True)


def opened(text: str) -> Reach:
    return reach(
        ServerSettings(data_dir=Path("/"), public_url="https://keys.example.com", identity_provider_networks=text)
    )


def test_an_opened_network_is_reached() -> None:
    with local_server({"*": (200, "text/plain", "x")}) as server, pytest.raises(NotFetched):
        fetch(server.url, opened(""))
    with local_server({"*": (200, "text/plain", "x")}) as server:
        assert fetch(server.url, opened("127.0.0.0/8")) == b"x"


def test_a_server_on_loopback_reaches_loopback() -> None:
    with local_server({"GET /keys": (200, "application/json", {"keys": []})}) as server:
        assert fetch(f"{server.url}/keys?a=b", LOOPBACK) == b'{"keys": []}'
    assert server.asked[0].headers["host"] == server.host
    assert "authorization" not in server.asked[0].headers


def test_a_certificate_is_verified_against_the_authority_that_was_given(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with local_server({"*": (200, "application/json", {})}, certificate) as server:
        pem = certificate.read_text()
        authority = pem[pem.index("-----BEGIN CERTIFICATE") :]
        assert fetch(f"{server.url}/", LOOPBACK, authority) == b"{}"
        with pytest.raises(NotFetched, match="could not be verified"):
            fetch(f"{server.url}/", LOOPBACK)
        with pytest.raises(NotFetched, match="not PEM"):
            fetch(f"{server.url}/", LOOPBACK, "-----BEGIN NOTHING-----")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "ff02::1"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(NotFetched, match=r"inside this server|which is never asked"):
        fetch("https://keys.example.com/", resolve=lambda *_: [address])


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(NotFetched, match="inside this server"):
        fetch("https://keys.example.com/", resolve=lambda *_: ["8.8.8.8", "10.0.0.1"])


def test_http_is_for_loopback_only() -> None:
    with pytest.raises(NotFetched, match="Only https"):
        fetch("http://keys.example.com/", opened("10.0.0.0/8"), resolve=lambda *_: ["10.0.0.1"])


@pytest.mark.parametrize(
    "url",
    ["", "keys", "file:///etc/passwd", "ftp://a/", "https://", "https://user:pw@a/", "https://a/#x", "https://a b/",
     "https://a/\r\nX: y", "https://[", "https://a:x/", "https://ä/"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    assert outbound.check_address(url)
    with pytest.raises(NotFetched):
        fetch(url, LOOPBACK, resolve=lambda *_: ["127.0.0.1"])


def test_a_redirect_is_not_followed_and_a_flood_not_kept() -> None:
    answers = {"GET /moved": (302, "text/plain", ""), "GET /flood": (200, "text/plain", "x" * (outbound.LARGEST + 1))}
    with local_server(answers) as server:
        with pytest.raises(NotFetched, match="status 302"):
            fetch(f"{server.url}/moved", LOOPBACK)
        with pytest.raises(NotFetched, match="more than"):
            fetch(f"{server.url}/flood", LOOPBACK)


@pytest.mark.parametrize("status", [200, 204, 302, 400, 500])
def test_a_form_is_sent_and_its_status_told(status: int) -> None:
    with local_server({"POST /take": (status, "text/plain", "x" * (outbound.LARGEST + 1))}) as server:
        assert post(f"{server.url}/take?a=b", {"token": "a b&c=ä"}, LOOPBACK) == status
    (asked,) = server.asked
    assert (asked.path, asked.body) == ("/take?a=b", "token=a+b%26c%3D%C3%A4")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_form_goes_only_where_a_document_may_come_from(tmp_path: Path) -> None:
    with local_server({"*": (200, "text/plain", "")}, make_certificate(tmp_path)) as server:
        with pytest.raises(NotFetched, match="inside this server"):
            post(server.url, {"token": "x"})
        with pytest.raises(NotFetched, match="could not be verified"):
            post(server.url, {"token": "x"}, LOOPBACK)
    assert server.asked == []
    with pytest.raises(NotFetched, match="Only https"):
        post("http://keys.example.com/", {"token": "x"}, resolve=lambda *_: ["8.8.8.8"])


@pytest.mark.parametrize("send", [lambda url: fetch(url, LOOPBACK), lambda url: post(url, {"token": "x"}, LOOPBACK)])
def test_a_sender_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch, send: Callable[[str], object]) -> None:
    monkeypatch.setattr(outbound, "DEADLINE", 0.2)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    while not ended.wait(0.05):
                        connection.sendall(b"H")
                except OSError:
                    pass

        sender = threading.Thread(target=drip)
        sender.start()
        try:
            with pytest.raises(NotFetched):
                send(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        finally:
            ended.set()
            sender.join()


def test_a_name_that_does_not_resolve_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[str]:
        raise socket.gaierror

    with pytest.raises(NotFetched, match="could not be resolved"):
        fetch("https://keys.example.com/", resolve=fail)


def test_a_closed_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotFetched, match="could not be reached"):
        fetch(f"http://127.0.0.1:{port}/", LOOPBACK)


def test_a_list_of_networks_that_cannot_be_read_is_an_error() -> None:
    assert opened(" ").networks == ()
    with pytest.raises(ConfigurationError, match="IDENTITY_PROVIDER_NETWORKS"):
        opened("10.0.0.0/8, everything")
