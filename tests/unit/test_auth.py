"""The ``auth`` of an HTTP client: one header, one renewal, one origin."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest
from local_server import Answer, Asked, LocalServer, local_server

from keystead.auth import KeysteadAuth
from keystead.client import AsyncClient, Client
from keystead.errors import PolicyDenied, SignInRequired
from keystead.testing.machine import Machine

REFUSED: Answer = (401, "application/json", {"error": "no"})
FINE: Answer = (200, "application/json", {"ok": True})
COUNTING_HELPER = "echo run >> runs; echo key-$(wc -l < runs)"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {"PATH": os.defpath})


def only_for(header: str, value: str) -> Callable[[Asked], Answer]:
    return lambda asked: FINE if asked.headers.get(header) == value else REFUSED


Get = Callable[[Client, str], httpx2.Response]


def sync_get(client: Client, url: str) -> httpx2.Response:
    with httpx2.Client(auth=KeysteadAuth(client), follow_redirects=True) as http:
        return http.get(url)


def async_get(client: Client, url: str) -> httpx2.Response:
    async def get() -> httpx2.Response:
        async with httpx2.AsyncClient(auth=KeysteadAuth(client), follow_redirects=True) as http:
            return await http.get(url)

    return asyncio.run(get())


@pytest.fixture(params=[sync_get, async_get], ids=["sync", "async"])
def get(request: pytest.FixtureRequest) -> Get:
    found: Get = request.param
    return found


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server({"*": FINE}) as running:
        yield running


def credentials(asked: Asked) -> dict[str, str]:
    return {name: value for name, value in asked.headers.items() if name in ("authorization", "x-api-key")}


def test_a_key_and_a_token_go_into_their_one_header(machine: Machine, server: LocalServer, get: Get) -> None:
    """As the table of sources says."""
    get(machine.client(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=server.url), server.url)
    get(machine.client(ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_BASE_URL=server.url), server.url)

    assert [credentials(asked) for asked in server.asked] == [{"x-api-key": "k"}, {"authorization": "Bearer t"}]


def test_any_other_credential_of_the_request_is_replaced(machine: Machine, server: LocalServer) -> None:
    """Exactly one is sent, whatever the program or its defaults had set."""
    client = machine.client(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=server.url)
    with httpx2.Client(auth=KeysteadAuth(client), headers={"Authorization": "Bearer x", "X-API-Key": "x"}) as http:
        http.get(server.url, headers={"x-kept": "1"})

    assert credentials(server.asked[0]) == {"x-api-key": "k"}
    assert server.asked[0].headers["x-kept"] == "1"


def test_a_refused_credential_is_renewed_once(machine: Machine, get: Get) -> None:
    """The second try carries the new one and succeeds; the next request starts with it."""
    machine.settings({"apiKeyHelper": COUNTING_HELPER})
    with local_server({"*": only_for("authorization", "Bearer key-2")}) as server:
        client = machine.client(ANTHROPIC_BASE_URL=server.url)
        answers = [get(client, server.url).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert [asked.headers["authorization"] for asked in server.asked] == [
        "Bearer key-1",
        "Bearer key-2",
        "Bearer key-2",
    ]


@pytest.mark.requirement("R-09 one renewal")
def test_a_second_refusal_is_final(machine: Machine, get: Get) -> None:
    """Two calls and one renewal; the caller gets the server's answer."""
    machine.settings({"apiKeyHelper": COUNTING_HELPER})
    with local_server({"*": REFUSED}) as server:
        answer = get(machine.client(ANTHROPIC_BASE_URL=server.url), server.url)

    assert (answer.status_code, answer.json()) == (401, {"error": "no"})
    assert len(server.asked) == 2
    assert (machine.bare.cwd / "runs").read_text() == "run\nrun\n"


@pytest.mark.requirement("R-11 after 403")
@pytest.mark.parametrize(("asked", "runs"), [("", "run\n"), ("0", "run\n"), ("true", "run\nrun\n")])
def test_a_helper_runs_again_upon_403_only_where_that_was_asked_for(
    machine: Machine, get: Get, asked: str, runs: str
) -> None:
    """And then the server's answer stands."""
    machine.settings({"apiKeyHelper": COUNTING_HELPER})
    with local_server({"*": (403, "application/json", {"error": "no"})}) as server:
        variables = {"ANTHROPIC_BASE_URL": server.url, "KEYSTEAD_API_KEY_HELPER_ON_403": asked}
        answer = get(machine.client(interactive=False, **variables), server.url)

    assert answer.status_code == 403
    assert (machine.bare.cwd / "runs").read_text() == runs


def test_what_cannot_be_renewed_is_sent_once(machine: Machine, get: Get) -> None:
    """A key stays the same key."""
    with local_server({"*": REFUSED}) as server:
        answer = get(machine.client(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=server.url), server.url)

    assert answer.status_code == 401
    assert len(server.asked) == 1


def test_a_body_is_sent_again_if_it_can_be(machine: Machine) -> None:
    """One that can be read only once gets the 401; the renewal counts for the next request."""
    machine.settings({"apiKeyHelper": COUNTING_HELPER})
    with local_server({"*": only_for("authorization", "Bearer key-2")}) as server:
        auth = KeysteadAuth(machine.client(ANTHROPIC_BASE_URL=server.url))
        with httpx2.Client(auth=auth) as http:
            once = http.post(server.url, content=iter([b"stre", b"amed"]))
            again = http.post(server.url, json={"whole": True})

    assert (once.status_code, again.status_code) == (401, 200)
    assert server.asked[-1].body == '{"whole":true}'


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.requirement("R-07 redirects")
def test_no_redirect_takes_it_along(
    machine: Machine, server: LocalServer, get: Get, variable: str, status: int
) -> None:
    """The client follows; the credential does not, and a 401 from there causes no renewal."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("location", server.url)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as first:
        thread = threading.Thread(target=first.handle_request)
        thread.start()
        origin = f"http://127.0.0.1:{first.server_port}"
        machine.variables[variable] = "canary"
        answer = get(machine.client(ANTHROPIC_BASE_URL=origin), origin)
        thread.join()

    assert answer.status_code == 200
    assert [credentials(asked) for asked in server.asked] == [{}]
    assert "canary" not in str(server.asked)


def test_another_origin_gets_nothing(machine: Machine, server: LocalServer, get: Get) -> None:
    """It is not even asked."""
    with pytest.raises(PolicyDenied, match=r"belongs to https://api\.anthropic\.com"):
        get(machine.client(ANTHROPIC_API_KEY="canary"), server.url)

    assert server.asked == []


def test_nothing_is_sent_without_a_credential(machine: Machine, server: LocalServer, get: Get) -> None:
    """The error is Keystead's own, with its hint."""
    with pytest.raises(SignInRequired) as caught:
        get(machine.client(), server.url)

    assert "keystead login" in (caught.value.hint or "")
    assert server.asked == []


def test_a_request_does_not_show_it(machine: Machine, server: LocalServer) -> None:
    """Programs log requests; who asks for the header by name gets it."""
    client = machine.client(ANTHROPIC_API_KEY="canary", ANTHROPIC_BASE_URL=server.url)
    with httpx2.Client(auth=KeysteadAuth(client)) as http:
        headers = http.get(server.url).request.headers

    assert "canary" not in repr(headers)
    assert "x-api-key" in headers
    assert (
        {**headers}
        == dict(headers.items())
        == dict(headers.multi_items())
        == dict(zip(headers, headers.values(), strict=True))
    )
    assert len(headers) == len(headers.raw) == len(headers.keys())
    assert (headers["X-Api-Key"], headers.get_list("x-api-key")) == ("canary", ["canary"])
    assert "x-api-key" not in headers.copy()


def test_a_helper_does_not_hold_up_the_loop(machine: Machine, server: LocalServer) -> None:
    """While it waits for the loop's own next step, the loop takes it."""
    machine.settings({"apiKeyHelper": "while ! test -e go; do sleep 0.01; done; echo key"})
    client = machine.client(ANTHROPIC_BASE_URL=server.url)

    async def together() -> httpx2.Response:
        async with httpx2.AsyncClient(auth=KeysteadAuth(client)) as http:
            waiting = asyncio.create_task(http.get(server.url))
            await asyncio.sleep(0)
            (machine.bare.cwd / "go").touch()
            return await waiting

    assert asyncio.run(together()).status_code == 200


def test_who_stops_waiting_does_not_stop_the_work(machine: Machine) -> None:
    """A cancelled call leaves a helper, or a renewal, to finish and to be kept."""
    machine.settings(
        {"apiKeyHelper": "touch began; while ! test -e go; do sleep 0.01; done; echo run >> runs; echo key"}
    )
    client = machine.client()
    cwd = machine.bare.cwd

    async def give_up() -> None:
        waiting = asyncio.create_task(AsyncClient(client).credential())
        while not (cwd / "began").exists():  # noqa: ASYNC110  another process makes it
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        (cwd / "go").touch()

    asyncio.run(give_up())  # its end waits for the loop's threads

    assert client.credential().secret.reveal() == "key"
    assert (cwd / "runs").read_text() == "run\n"
