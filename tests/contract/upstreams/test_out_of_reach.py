"""An upstream that cannot be reached, or is none, is the operator's to look at, and the answer names it."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from local_server import local_server, make_certificate
from upstreams import upstream

from keystead.server.gateway import Limits
from keystead.server.outbound import Reach
from keystead.server.upstream_network import REMEMBERED_SECONDS, Guard
from keystead.testing.clock import FakeClock

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running


def test_unreachable_upstream_is_named(serve: Callable[..., "Running"]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    running = serve(upstreams=[upstream(address, "anthropic")])
    answer = running.ask()
    assert answer.status == 502
    assert "cannot reach its upstream 'anthropic'" in answer.error["message"]
    (row,) = running.ledger.wait()
    assert (row.status, row.input_tokens, row.aborted) == (502, 0, False)


def test_upstream_that_speaks_no_http_is_502(serve: Callable[..., "Running"]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:
        running = serve(upstreams=[upstream(f"http://127.0.0.1:{odd.getsockname()[1]}")])
        thread = threading.Thread(target=_speak, args=(odd, b"SSH-2.0-OpenSSH\r\n\r\n"))
        thread.start()
        answer = running.ask()
        thread.join()
    assert answer.status == 502
    assert "not valid HTTP" in answer.error["message"]


def _speak(listener: socket.socket, data: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(data)
        connection.recv(65536)


# -- where a name leads ----------------------------------------------------------------------------------------------


def leading_to(*places: str) -> Callable[[str, int], object]:
    async def addresses(_host: str, _port: int) -> Sequence[str]:
        return places

    return addresses


def test_a_connection_goes_to_the_given_addresses_and_the_name_stays(
    serve: "Callable[..., Running]", running: "Running"
) -> None:
    port = running.api.base_url.rpartition(":")[2]
    pinned = upstream(f"http://models.invalid:{port}", addresses=leading_to("127.0.0.99", "127.0.0.1"))
    assert serve(upstreams=[pinned]).ask().status == 200
    assert running.api.requests[-1].headers["host"] == f"models.invalid:{port}"


@pytest.mark.parametrize(
    ("host", "trusted", "says"),
    [
        ("127.0.0.1", True, ""),
        ("models.test", True, ""),
        ("other.test", True, "certificate did not verify"),
        ("models.test", False, "certificate did not verify"),
    ],
)
def test_whoever_answers_shows_the_certificate_of_the_name(
    serve: "Callable[..., Running]", tmp_path: Path, host: str, trusted: bool, says: str
) -> None:
    certificate = make_certificate(tmp_path, names=["models.test"])
    context = ssl.create_default_context(cafile=str(certificate)) if trusted else None
    with local_server({"POST /v1/messages": (200, "application/json", {})}, certificate) as other:
        address = f"https://{host}:{other.url.rpartition(':')[2]}"
        answer = serve(upstreams=[upstream(address, tls=context, addresses=leading_to("127.0.0.1"))]).ask()
        assert answer.status == (502 if says else 200)
        assert len(other.asked) == (0 if says else 1)
    assert not says or says in answer.error["message"]


@pytest.mark.parametrize("trouble", [PermissionError("127.0.0.1 is not permitted"), ValueError("odd"), None])
def test_a_name_that_leads_nowhere_permitted_is_502(serve: "Callable[..., Running]", trouble: Exception | None) -> None:
    async def addresses(_host: str, _port: int) -> Sequence[str]:
        if trouble is not None:
            raise trouble
        return ()

    answer = serve(upstreams=[upstream("http://models.invalid:1", addresses=addresses)]).ask()
    assert answer.status == 502
    assert "cannot reach its upstream 'test'" in answer.error["message"]
    assert "permitted" not in answer.error["message"]


def test_a_request_that_went_elsewhere_is_not_sent_when_the_name_is_found_at_last(
    serve: "Callable[..., Running]", running: "Running"
) -> None:
    found, asked = threading.Event(), threading.Event()

    async def addresses(_host: str, _port: int) -> Sequence[str]:
        asked.set()
        await asyncio.to_thread(found.wait)
        return ("127.0.0.1",)

    port = running.api.base_url.rpartition(":")[2]
    slow = upstream(f"http://models.invalid:{port}", "slow", addresses=addresses, first_byte_seconds=0.05)
    both = serve(Limits(sweep_seconds=0.02), upstreams=[slow, upstream(running.api.base_url, "b")])
    assert both.ask().status == 200
    assert asked.is_set()
    found.set()
    running.api.wait_for(lambda _: running.api.connections == 2)
    assert len(running.api.requests) == 1
    (row,) = both.ledger.wait()
    assert row.upstream == "b"


# -- names that change their mind, and upstreams that send elsewhere ---------------------------------------------------


def test_a_name_is_resolved_and_judged_once_for_each_connection(
    serve: "Callable[..., Running]", running: "Running"
) -> None:
    """Rebinding: what was judged is what is connected to, and the next connection is judged anew."""
    answers, clock = [["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1", "10.0.0.1"]], FakeClock()
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    guard = Guard(Reach((ipaddress.ip_network("127.0.0.1/32"),), plain=True), clock, resolve)
    address = f"http://models.invalid:{running.api.base_url.rpartition(':')[2]}"
    addresses = guard.of_organizations(address)
    first = serve(upstreams=[upstream(address, addresses=addresses)])
    assert first.ask().status == 200
    assert first.ask().status == 200
    assert asked == ["models.invalid"]
    before = len(running.api.requests)
    for number in range(2):
        clock.advance(REMEMBERED_SECONDS)
        other = serve(upstreams=[upstream(address, addresses=addresses)])
        answer = other.ask()
        assert (answer.status, len(asked)) == (502, number + 2)
    assert len(running.api.requests) == before


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_neither_followed_nor_passed_on(serve: "Callable[..., Running]", status: int) -> None:
    """A client that followed it would take its key for this gateway along."""
    with local_server({"*": (200, "application/json", {})}) as elsewhere:
        location = f"location: {elsewhere.url}/v1/messages\r\ncontent-length: 0\r\n\r\n"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=_speak, args=(listener, f"HTTP/1.1 {status} X\r\n{location}".encode()))
            thread.start()
            answer = serve(upstreams=[upstream(f"http://127.0.0.1:{listener.getsockname()[1]}")]).ask()
            thread.join()
        assert elsewhere.asked == []
    assert answer.status == 502
    assert "sends elsewhere, which is never followed" in answer.error["message"]
    assert "location" not in answer.headers


def test_a_redirect_leads_to_the_next_upstream(serve: "Callable[..., Running]", running: "Running") -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        moved = b"HTTP/1.1 307 X\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n"
        thread = threading.Thread(target=_speak, args=(listener, moved))
        thread.start()
        first = upstream(f"http://127.0.0.1:{listener.getsockname()[1]}", "first")
        assert serve(upstreams=[first, upstream(running.api.base_url, "second")]).ask().status == 200
        thread.join()
