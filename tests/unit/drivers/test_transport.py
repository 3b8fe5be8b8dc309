import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from keystead.drivers.transport import HttpTransport
from keystead.errors import ConfigurationError, KeysteadError, ServerFailure, ServerUnreachable
from keystead.secret import Secret
from keystead.testing.clock import FakeClock
from keystead.wire.http import Request


class Server:
    """A loopback server that answers every connection with the same bytes and keeps what it received."""

    def __init__(self, *answer: bytes, close: bool = True) -> None:
        self.received = b""
        self._answer = answer
        self._close = close
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._held: list[socket.socket] = []
        self._thread = Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.received += self._request(connection)
            for piece in self._answer:
                connection.sendall(piece)
            if self._close:
                connection.close()
            else:
                self._held.append(connection)

    @staticmethod
    def _request(connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        while lengths and len(body) < lengths[0]:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        # Waking the thread: closing alone leaves it in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._held:
            connection.close()


@contextmanager
def serving(*answer: bytes, close: bool = True) -> Iterator[Server]:
    server = Server(*answer, close=close)
    server._thread.start()
    try:
        yield server
    finally:
        server.close()


def ok(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


def test_a_form_is_sent_and_the_answer_comes_back() -> None:
    with serving(ok(b'{"a":1}', b"X-One: two")) as server:
        request = Request("POST", f"{server.url}/oauth/token", {"x-key": Secret("k")}, {"token": Secret("a b")})

        response = HttpTransport().send(request)

    assert (response.status, response.body, response.headers["x-one"]) == (200, b'{"a":1}', "two")
    assert response.url == request.url
    assert b"token=a+b" in server.received
    assert b"x-key: k" in server.received.lower()
    assert b"user-agent: keystead/" in server.received.lower()


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with serving(ok(b"never")) as other:
        redirect = b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
        with serving(redirect % other.url.encode()) as server:
            response = HttpTransport().send(Request("POST", server.url, {"x-api-key": Secret("canary")}))

    assert response.status == 307
    assert other.received == b""


def test_a_loopback_server_is_reached_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(ok(b"direct")) as server:
        assert HttpTransport().send(Request("GET", server.url)).body == b"direct"


def test_a_proxy_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")

    with pytest.raises(ServerUnreachable):
        HttpTransport().send(Request("GET", "https://keys.example.com/"))


def test_no_answer_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ServerUnreachable, match=f"http://127.0.0.1:{port}/x cannot be reached"):
        HttpTransport().send(Request("GET", f"http://127.0.0.1:{port}/x?code=canary"))


def test_a_server_that_says_nothing_runs_into_the_deadline() -> None:
    with serving(close=False) as server, pytest.raises(ServerUnreachable, match="in time"):
        HttpTransport(deadline=0.05).send(Request("GET", server.url))


def test_a_server_that_drips_runs_into_the_deadline_too() -> None:
    class Advancing(FakeClock):
        def monotonic(self) -> float:
            self.advance(20)
            return super().monotonic()

    with serving(ok(b"slow")) as server, pytest.raises(ServerUnreachable, match="did not finish"):
        HttpTransport(Advancing(), deadline=15).send(Request("GET", server.url))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"220 smtp ready\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
    ],
)
def test_an_answer_that_breaks_off_or_is_not_http_is_a_failure(answer: bytes) -> None:
    with serving(answer) as server, pytest.raises(ServerFailure):
        HttpTransport().send(Request("GET", server.url))


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.drivers.transport.LARGEST_ANSWER", 10)
    with serving(ok(b"x" * 100)) as server, pytest.raises(ServerFailure, match="more than"):
        HttpTransport().send(Request("GET", server.url))


@pytest.mark.parametrize("url", ["ftp://example.com", "http://[", "http://127.0.0.1:99999"])
def test_an_impossible_address_is_the_configurations_fault(url: str) -> None:
    with pytest.raises(ConfigurationError):
        HttpTransport().send(Request("GET", url))


def test_no_error_shows_a_secret() -> None:
    with serving(b"") as server, pytest.raises(KeysteadError) as caught:
        HttpTransport().send(Request("GET", f"{server.url}/?q=canary", {"authorization": Secret("Bearer canary")}))

    assert "canary" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.__cause__ is None


def test_a_stream_is_there_before_it_ends() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with serving(head, b"data: 1\n\n", close=False) as server:
        with HttpTransport().stream(Request("POST", server.url, body=b"{}")) as response:
            first = next(iter(response.iter_bytes()))

        assert (response.status, first) == (200, b"data: 1\n\n")
        assert response.headers["content-type"] == "text/event-stream"
