"""A real nginx before a real server: each client is counted for itself, and nobody becomes another by saying so."""

import http.client
import json
import socket
import ssl
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from edge import nginx
from local_server import make_certificate
from people import Forms
from ports import free_port
from running import RunningServer

from keystead.server.authorization.checks.attempts import CODES_PER_ADDRESS

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
ELSEWHERE: Final = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "444",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=203.0.113.9;host=evil.example;proto=gopher",
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Site:
    """A server that trusts its nginx on 127.0.0.1, asked through it or past it."""

    port: int
    server_port: int
    certificate: Path
    trust: ssl.SSLContext
    server: RunningServer

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def connection(self, address: str, *, past: bool) -> http.client.HTTPConnection:
        source = (address, 0)
        if past:
            return http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=60, source_address=source)
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=60, source_address=source, context=self.trust
        )

    def ask(
        self,
        address: str,
        path: str,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        *,
        past: bool = False,
    ) -> Answer:
        """Ask once, from the loopback address that is given."""
        body = None if form is None else urllib.parse.urlencode(form)
        with closing(self.connection(address, past=past)) as connection:
            sent = {**(FORM if form is not None else {}), **(headers or {})}
            connection.request("GET" if form is None else "POST", path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())

    def codes(self, address: str, headers: dict[str, str] | None = None, *, past: bool = False) -> int:
        """Ask for device codes; returns the status."""
        form = {"client_id": "keystead-cli"}
        return self.ask(address, "/oauth/device_authorization", form, headers, past=past).status

    def use_up_codes(self, address: str, claims: str = "203.0.113.{}", *, past: bool = False) -> None:
        """Ask for as many device codes as one address may, over one connection, with a new claim each time."""
        with closing(self.connection(address, past=past)) as connection:
            for number in range(CODES_PER_ADDRESS.count):
                headers = {**FORM, "X-Forwarded-For": claims.format(number)}
                connection.request("POST", "/oauth/device_authorization", "client_id=keystead-cli", headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status in {200, 429}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    here: Path = tmp_path_factory.mktemp("edge")
    certificate = make_certificate(here)
    port, server_port = free_port(), free_port()
    settings = {
        "KEYSTEAD_SERVER_PORT": str(server_port),
        "KEYSTEAD_SERVER_PUBLIC_URL": f"https://127.0.0.1:{port}",
        "KEYSTEAD_SERVER_TRUSTED_PROXIES": "127.0.0.1",
    }
    with RunningServer(here, settings) as server, nginx(here, port, server_port, certificate):
        yield Site(port, server_port, certificate, ssl.create_default_context(cafile=certificate), server)


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    """The first administrator sets the server up through nginx, and makes an API key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(site.certificate))
        return site.server.administrator().create_key("edge")


def test_each_client_has_a_limit_of_its_own(site: Site) -> None:
    site.use_up_codes("127.0.0.2")
    assert site.codes("127.0.0.2") == 429
    assert site.codes("127.0.0.3") == 200


def test_nobody_gets_further_by_saying_to_be_another(site: Site) -> None:
    """Neither through the proxy, which adds who they are, nor past it, where they are not trusted."""
    site.use_up_codes("127.0.0.4")
    for headers in (
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"},
        {"X-Forwarded-For": "unknown"},
        {"X-Forwarded-For": '"'},
        {"X_Forwarded_For": "203.0.113.9"},
        {"X-Real-IP": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
    ):
        assert site.codes("127.0.0.4", headers) == 429
        assert site.codes("127.0.0.4", headers, past=True) == 429
    assert site.codes("127.0.0.4", past=True) == 429, "the same address, whichever way"


def test_a_header_that_differs_in_its_dash_is_another(site: Site) -> None:
    """Not every proxy removes it, and WSGI would put both into one, the false one last."""
    told = {"X-Forwarded-For": "127.0.0.5", "X_Forwarded_For": "127.0.0.6"}
    site.use_up_codes("127.0.0.5")
    assert site.codes("127.0.0.1", told, past=True) == 429
    assert site.codes("127.0.0.1", {"X-Forwarded-For": "127.0.0.6"}, past=True) == 200


def test_tries_to_sign_in_are_limited_for_each_client(site: Site) -> None:
    page = site.ask("127.0.0.7", "/account/login/")
    forms = Forms()
    forms.feed(page.body)
    form = next(fields for _, fields in forms.forms if "password" in fields)
    cookie = str(page.headers["Set-Cookie"]).partition(";")[0]

    def tried(address: str, number: int) -> int:
        headers = {"Cookie": cookie, "Origin": site.url, "X-Forwarded-For": f"203.0.113.{number}"}
        return site.ask(address, "/account/login/", form, headers).status

    assert [tried("127.0.0.7", number) for number in range(31)] == [200] * 30 + [429]
    assert tried("127.0.0.8", 31) == 200


@pytest.mark.parametrize("past", [False, True])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9"])
def test_no_header_moves_the_issuer_or_a_redirect(site: Site, address: str, past: bool) -> None:
    metadata = site.ask(address, "/.well-known/oauth-authorization-server", headers=ELSEWHERE, past=past).document
    assert metadata["issuer"] == site.url
    assert {
        urllib.parse.urlsplit(value)[:2] for name, value in metadata.items() if name.endswith(("_endpoint", "_uri"))
    } == {("https", f"127.0.0.1:{site.port}")}
    given = site.ask(
        address, "/oauth/device_authorization", {"client_id": "keystead-cli"}, ELSEWHERE, past=past
    ).document
    assert given["verification_uri"] == f"{site.url}/device"
    redirect = site.ask(address, "/device", headers=ELSEWHERE, past=past)
    assert (redirect.status, redirect.headers["Location"]) == (302, "/account/login/?next=/device")
    assert site.url + "/" in site.ask(address, "/v1/models", headers=ELSEWHERE, past=past).headers["WWW-Authenticate"]


def test_nginx_takes_http_2_and_bodies_that_only_keystead_limits(site: Site) -> None:
    site.trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", site.port), 60) as plain,
        site.trust.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
    ):
        assert stream.selected_alpn_protocol() == "h2"
    site.trust.set_alpn_protocols(["http/1.1"])
    for _ in range(8):
        answer = site.ask("127.0.0.10", "/v1/messages", {"filling": "x" * 2_000_000})
        assert answer.status == 401
        assert answer.document["error"]["type"] == "authentication_error"


def test_pages_work_and_a_stream_arrives_as_it_is_sent(site: Site, key: str) -> None:
    """Forms prove where they come from although the server itself sees plain HTTP; the stream here never ends."""
    question = {"role": "user", "content": "x-keystead-fake: hang=3"}
    body = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 9, "stream": True, "messages": [question]})
    headers = {"x-api-key": key, "content-type": "application/json", "anthropic-version": "2023-06-01"}
    with closing(site.connection("127.0.0.13", past=False)) as connection:
        connection.request("POST", "/v1/messages", body, headers)
        with connection.getresponse() as answer:
            assert answer.status == 200
            assert answer.readline() == b"event: message_start\n"


def test_streams_arrive_by_http_2_as_they_are_sent(site: Site, key: str, tmp_path: Path) -> None:
    """Two streams that never end share one connection, and each has begun to arrive at its client."""
    question = {"role": "user", "content": "x-keystead-fake: hang=3"}
    (tmp_path / "question.json").write_text(
        json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 9, "stream": True, "messages": [question]})
    )
    (tmp_path / "headers").write_text(
        f"x-api-key: {key}\ncontent-type: application/json\nanthropic-version: 2023-06-01"
    )
    asked = ["--data-binary", f"@{tmp_path}/question.json", "--header", f"@{tmp_path}/headers"]
    one = ["--http2", "--cacert", str(site.certificate), "--include", "--no-buffer", *asked]
    url = f"{site.url}/v1/messages"
    command = ["curl", "--silent", "--verbose", "--parallel", *one, url, "--next", *one, url]
    streams = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    with streams:
        assert streams.stdout is not None
        received = b""
        while received.count(b"event: content_block_start") < 2:
            piece = streams.stdout.readline()
            assert piece, received
            received += piece
        streams.kill()
        _, told = streams.communicate()
    assert received.count(b"HTTP/2 200") == 2
    assert received.count(b"content-type: text/event-stream") == 2
    assert told.count(b"TLS handshake, Client hello") == 1, "they do not share a connection"


def test_a_request_goes_on_as_it_comes(site: Site) -> None:
    """It is refused by its head, while its body is still under way."""
    with closing(site.connection("127.0.0.14", past=False)) as connection:
        connection.putrequest("POST", "/v1/messages")
        connection.putheader("content-length", "1000000")
        connection.putheader("x-api-key", "nobody's")
        connection.endheaders(b"{")
        assert connection.getresponse().status == 401


def test_what_names_nobody_counts_as_the_proxy_s_own(site: Site) -> None:
    """The last test here: afterwards the proxy's own address may ask for nothing more."""
    site.use_up_codes("127.0.0.1", "_hidden{}", past=True)
    assert site.codes("127.0.0.1", {"X-Forwarded-For": "_another"}, past=True) == 429
    assert site.codes("127.0.0.12") == 200
