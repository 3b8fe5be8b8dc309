"""A server that speaks TLS itself: set up in a browser, signed in to by the client, asked by the official SDK."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import anthropic
import pytest
from local_server import make_certificate
from people import Person
from running import Machine, RunningServer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Trust the certificate in this process and all it starts."""
    file = str(make_certificate(tmp_path_factory.mktemp("tls"), days=60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", file)
        yield file


@pytest.fixture(scope="module")
def server(authority: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = {"KEYSTEAD_SERVER_TLS_CERTIFICATE": authority, "KEYSTEAD_SERVER_TLS_KEY": authority}
    with RunningServer(tmp_path_factory.mktemp("server"), settings) as server:
        yield server


@pytest.fixture(scope="module")
def person(server: RunningServer) -> Person:
    return server.administrator()


def test_the_address_is_https_everywhere(server: RunningServer, person: Person) -> None:
    assert server.base.startswith("https://127.0.0.1:")
    assert f"{server.base}/v1/messages" in server.output


def test_its_cookies_are_for_this_host_over_tls_alone(server: RunningServer, person: Person) -> None:
    kept = {one.name: one for one in person.cookies}

    assert sorted(kept) == ["__Host-csrftoken", "__Host-sessionid"]
    for one in kept.values():
        assert (one.secure, one.path, one.domain_specified) == (True, "/", False)
        assert one.has_nonstandard_attr("HttpOnly")
        assert one.get_nonstandard_attr("SameSite") == "Lax"


def test_the_client_signs_in_and_asks(server: RunningServer, person: Person, authority: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"SSL_CERT_FILE": authority})
    machine.sign_in(server.base, person)

    answered = machine.keystead("-p", "hello")

    assert answered.returncode == 0, answered.stderr
    assert "not a model" in answered.stdout


def test_the_official_sdk_streams(server: RunningServer, person: Person) -> None:
    with anthropic.Anthropic(base_url=server.base, api_key=person.create_key(), max_retries=0) as client:
        model = client.models.list().data[0].id
        question = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
        with client.messages.stream(**question) as stream:  # type: ignore[arg-type]
            pieces = list(stream.text_stream)

    assert len(pieces) > 1


def test_who_does_not_speak_tls_is_sent_away(server: RunningServer) -> None:
    address = urlsplit(server.base)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = plain.recv(100)

    assert b"HTTP/1.1 200" not in answer
