"""The edge for several servers, as we give it out: nginx, two servers, PostgreSQL and Redis, all of them real."""

import http.client
import json
import re
import secrets
import signal
import socket
import ssl
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from documents import ROOT, blocks
from edge import DEPLOY, balancing_nginx
from local_server import make_certificate
from people import PATIENCE, Person
from ports import free_port
from postgres import cluster
from redis_server import redis_server
from running import RunningServer

from keystead.secret import Secret
from keystead.testing.messages_api import MessagesApi

MODEL = "keystead-test-1"
GUIDE = (
    (ROOT / "docs/operations.md").read_text(encoding="utf-8").partition("## Several servers")[2].partition("\n## ")[0]
)
TRIES = 2_000
"""How often is asked at most; between two times is a hundredth of a second where nothing but waiting is to be done."""


@dataclass
class Site:
    """Two servers behind one edge, and their administrator at it."""

    port: int
    homes: list[Path]
    settings: list[dict[str, str]]
    servers: list[RunningServer]
    trust: ssl.SSLContext
    certificate: Path
    person: Person

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def edge(self) -> http.client.HTTPConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=self.trust)

    def past(self, number: int) -> http.client.HTTPConnection:
        """Connect to one of the servers, not by the edge."""
        return http.client.HTTPConnection(
            "127.0.0.1", int(self.settings[number]["KEYSTEAD_SERVER_PORT"]), timeout=PATIENCE
        )

    def wait_for_both(self) -> None:
        """Return once the edge asks both servers; one that was away is left alone for some seconds."""
        before = self.metric(1, "keystead_gateway_refusals_total")
        with closing(self.edge()) as edge:
            for _ in range(TRIES):
                edge.request("GET", "/v1/models")
                with edge.getresponse() as answer:
                    assert (answer.status, answer.read()[:1]) == (401, b"{")
                if self.metric(1, "keystead_gateway_refusals_total") > before:
                    return
                threading.Event().wait(0.01)
        pytest.fail("the edge never asked the second server")

    def answering(self, number: int) -> int:
        """Return how many requests of agents a server is answering now."""
        return int(self.metric(number, "keystead_gateway_open_requests"))

    def metric(self, number: int, name: str) -> float:
        port = self.settings[number]["KEYSTEAD_SERVER_METRICS_PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            said = answer.read().decode()
        return sum(float(one) for one in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", said, re.MULTILINE))


def in_common(here: Path, secret: dict[str, str], port: int) -> dict[str, str]:
    """Return the variables that the guide has all servers set, with its secrets where the unit's go."""
    unit = (DEPLOY / "keystead@.service").read_text(encoding="utf-8")
    loaded = re.findall(r"^LoadCredential=([\w-]+):/etc/keystead/([\w-]+)$", unit, re.MULTILINE)
    assert dict(loaded) == {name: name for name in secret}
    assert "\nExecStart=/usr/local/lib/keystead/bin/keystead server run\n" in unit
    for name, value in secret.items():
        file = here / name
        file.touch(mode=0o600)
        file.write_text(value)
    there = dict(re.findall(r"^ +(KEYSTEAD_SERVER_\w+)=(\S+)$", GUIDE, re.MULTILINE))
    assert int(there["KEYSTEAD_SERVER_DRAIN_SECONDS"]) < int(
        re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]
    )
    here_instead = {
        "KEYSTEAD_SERVER_PUBLIC_URL": f"https://127.0.0.1:{port}",
        "KEYSTEAD_SERVER_TRUSTED_PROXIES": "127.0.0.1",
        "KEYSTEAD_SERVER_HOST": "127.0.0.1",
    }
    assert here_instead.keys() < there.keys()
    return there | here_instead | {"CREDENTIALS_DIRECTORY": str(here)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    here: Path = tmp_path_factory.mktemp("edge")
    certificate, port = make_certificate(here), free_port()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SSL_CERT_FILE", str(certificate))
        models = stack.enter_context(MessagesApi(api_key=Secret("upstream")))
        secret = {
            "database-url": stack.enter_context(cluster()).create(),
            "counters-url": stack.enter_context(redis_server()).url,
            "secret-key": secrets.token_hex(32),
        }
        own = {"UPSTREAM_URL": models.base_url, "UPSTREAM_API_KEY": "upstream"}
        common = {f"KEYSTEAD_SERVER_{name}": value for name, value in own.items()} | in_common(here, secret, port)
        settings = [
            common | {"KEYSTEAD_SERVER_PORT": str(free_port()), "KEYSTEAD_SERVER_METRICS_PORT": str(free_port())}
            for _ in range(2)
        ]
        homes = [tmp_path_factory.mktemp("server") for _ in settings]
        one, other = (int(each["KEYSTEAD_SERVER_PORT"]) for each in settings)
        stack.enter_context(balancing_nginx(here, port, (one, other), certificate))
        servers = [stack.enter_context(RunningServer(homes[0], settings[0]))]
        person = servers[0].administrator()  # before another server starts and gives out a link of its own
        servers.append(stack.enter_context(RunningServer(homes[1], settings[1])))
        trust = ssl.create_default_context(cafile=certificate)
        found = Site(port, homes, settings, servers, trust, certificate, person)
        found.wait_for_both()
        yield found


def ask(connection: http.client.HTTPConnection, key: str, **more: object) -> tuple[int, str]:
    """Ask once; returns the status and, of an error, its type."""
    body = {"model": MODEL, "max_tokens": 40, "messages": [{"role": "user", "content": "hello"}]} | more
    connection.request("POST", "/v1/messages", json.dumps(body), {"x-api-key": key, "content-type": "application/json"})
    with connection.getresponse() as answer:
        said = answer.read()
    kind = json.loads(said).get("error", {}).get("type", "") if said.startswith(b"{") else said[:40].decode()
    return answer.status, kind


def until(connection: http.client.HTTPConnection, key: str, expected: tuple[int, str]) -> int:
    """Ask until that is the answer, since word takes a moment from server to server; returns how often another was."""
    for number in range(TRIES):
        if ask(connection, key) == expected:
            return number
        threading.Event().wait(0.01)
    pytest.fail(f"it never answered {expected}")


def test_a_session_and_a_key_hold_whichever_server_answers(site: Site) -> None:
    """Signed in through the edge, page after page; and agents ask with a key, by turns at both."""
    ada = Person(site.url)
    ada.sign_in()
    key = ada.create_key("turns")
    assert all("turns" in ada.open(f"{site.url}/keys")[1] for _ in range(4))
    before = [site.metric(number, "keystead_gateway_requests_total") for number in (0, 1)]
    with closing(site.edge()) as edge:
        until(edge, key, (200, ""))
        assert [ask(edge, key)[0] for _ in range(6)] == [200] * 6
    after = [site.metric(number, "keystead_gateway_requests_total") for number in (0, 1)]
    assert all(now > then for then, now in zip(before, after, strict=True))


def test_the_edge_speaks_http_2_to_clients(site: Site) -> None:
    trust = ssl.create_default_context(cafile=site.certificate)
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", site.port), PATIENCE) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
    ):
        assert stream.selected_alpn_protocol() == "h2"


@pytest.mark.requirement("G-04 replicas")
def test_a_key_made_and_revoked_through_the_edge_is_so_at_both(site: Site) -> None:
    key = site.person.create_key("revoked")
    with closing(site.past(0)) as one, closing(site.past(1)) as other:
        for connection in (one, other):
            until(connection, key, (200, ""))
        _, page = site.person.open(f"{site.url}/keys")
        (link,) = re.findall(r'href="(/keys/key_\w+/revoke)"[^>]*>Revoke<span class="hidden"> revoked<', page)
        site.person.fill(*site.person.open(site.url + link), {})
        for connection in (one, other):
            until(connection, key, (401, "authentication_error"))
    with closing(site.edge()) as edge:
        assert ask(edge, key) == (401, "authentication_error")


@pytest.mark.requirement("G-02 servers")
def test_a_limit_counts_what_goes_through_either(site: Site) -> None:
    key = site.person.create_key("limited")
    place, page = site.person.open(f"{site.url}/limits")
    whom = re.search(r'value="(api_key\|\w+\|shared)"[^>]*>Key limited of', page)
    assert whom
    site.person.fill(place, page, {"whom": whom[1], "amount": "0.01", "what": "spend|monthly"})
    before = [site.metric(number, "keystead_gateway_requests_total") for number in (0, 1)]
    with closing(site.edge()) as edge:
        until(edge, key, (429, "billing_error"))
    served = [site.metric(number, "keystead_gateway_requests_total") - before[number] for number in (0, 1)]
    assert min(served) > 0.4 * max(served), "both had their share of it"
    for number in (0, 1):
        with closing(site.past(number)) as past:
            assert until(past, key, (429, "billing_error")) <= 1


STREAM = {
    "stream": True,
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "x-keystead-fake: words=25, slow=0.05"}],
}
"""An answer that takes more than a second."""


def test_a_server_that_stops_loses_nothing(site: Site) -> None:
    """Four streams are under way and others ask all the time, while one server is stopped and started again."""
    key = site.person.create_key("draining")
    for number in (0, 1):
        with closing(site.past(number)) as past:
            until(past, key, (200, ""))
    asked, enough = Counter[tuple[int, str]](), threading.Event()

    def crowd() -> None:
        mine = Counter[tuple[int, str]]()
        with closing(site.edge()) as edge:
            while not enough.is_set():
                mine[ask(edge, key)] += 1
        asked.update(mine)

    with ExitStack() as stack:
        streams = [stack.enter_context(closing(site.edge())) for _ in range(4)]
        begun = [_begin(one, key) for one in streams]
        assert [site.answering(number) for number in (0, 1)] == [2, 2]
        people = [threading.Thread(target=crowd) for _ in range(2)]
        for one in people:
            one.start()
        try:
            assert site.servers[1].stop(signal.SIGTERM) == 0
            for answer in begun:
                assert answer.read().endswith(b'data: {"type":"message_stop"}\n\n')
            site.servers[1] = stack.enter_context(RunningServer(site.homes[1], site.settings[1]))
            site.wait_for_both()
        finally:
            enough.set()
            for one in people:
                one.join()
    assert set(asked) == {(200, "")}


def _begin(connection: http.client.HTTPConnection, key: str) -> http.client.HTTPResponse:
    body = json.dumps({"model": MODEL} | STREAM)
    connection.request("POST", "/v1/messages", body, {"x-api-key": key, "content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline() == b"event: message_start\n"
    return answer


def test_an_edge_that_asks_by_tls_checks_who_answers(tmp_path: Path) -> None:
    """With the lines of the guide; whoever answers under another name is sent nothing."""
    certificate = make_certificate(tmp_path, names=["keystead.example.com"])
    (lines,) = blocks(GUIDE, "nginx")
    behind = lines.replace("/etc/ssl/keystead/authority.pem", str(certificate))
    elsewhere = behind.replace("proxy_ssl_name keystead.", "proxy_ssl_name other.")
    assert lines != behind != elsewhere
    port, own = free_port(), free_port()
    settings = {
        "KEYSTEAD_SERVER_PUBLIC_URL": f"https://127.0.0.1:{port}",
        "KEYSTEAD_SERVER_PORT": str(own),
        "KEYSTEAD_SERVER_TLS_CERTIFICATE": str(certificate),
        "KEYSTEAD_SERVER_TLS_KEY": str(certificate),
    }
    trust = ssl.create_default_context(cafile=certificate)
    with RunningServer(tmp_path, settings):
        for there, status in ((behind, 401), (elsewhere, 502)):
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=trust)
            with balancing_nginx(tmp_path, port, (own, own), certificate, there), closing(connection):
                connection.request("GET", "/v1/models")
                with connection.getresponse() as answer:
                    assert (answer.status, bool(answer.read())) == (status, True)
