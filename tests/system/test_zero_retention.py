"""No byte of a prompt or a completion is on a disk, or in what the server tells, whatever goes wrong with it (S-22).

Everything runs as real processes, with debugging on, everything traced, and an upstream that quotes prompts wherever
it can. The server is killed in the middle of an answer, started again, and ended; then every byte is searched that it
has left behind, printed, shown Prometheus, or sent to a collector.
"""

import json
import signal
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from collector import FakeCollector
from people import PATIENCE, Person
from running import RunningServer
from watching import Watching, agent_telemetry, of_agents, watching

PROMPT: Final = "canaryPrompt7xcanaryPrompt7x"
COMPLETION: Final = "canaryCompletion7xcanaryCompletion7x"
MODEL: Final = "claude-sonnet-4-5"
LARGEST: Final = 20_000
CASES: Final = (
    "answer", "stream", "refused", "broken", "nonsense", "banner", "bad chunk", "half", "silent",
)  # fmt: skip


class Upstream(socketserver.StreamRequestHandler):
    """A model server that answers as the header ``x-claude-code-case`` says, and quotes what it was asked."""

    server: "Listening"

    def handle(self) -> None:
        while line := self.rfile.readline():
            headers = {}
            while (one := self.rfile.readline().strip()) != b"":
                name, _, value = one.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", "0"))).decode()
            self.server.asked.append(body)
            if not line.startswith(b"POST") or not self._answer(headers["x-claude-code-case"], body):
                return

    def _answer(self, case: str, body: str) -> bool:
        """Answer one request; returns whether the connection goes on."""
        if case == "answer":
            self._document(200, {"type": "message", "content": [{"type": "text", "text": COMPLETION}], "usage": USAGE})
        elif case == "refused":
            error = {"type": "invalid_request_error", "message": f"cannot read {body}"}
            self._document(400, {"type": "error", "error": error})
        elif case == "broken":
            self._document(500, {"type": "error", "error": {"type": "api_error", "message": f"failed at {body}"}})
        elif case == "nonsense":
            self._send(f"HTTP/1.1 banana {body}\r\n{COMPLETION}\r\n\r\n")
        elif case == "banner":
            self._send(f"SSH-2.0-{COMPLETION} {body}\r\n")
        elif case == "bad chunk":
            self._send(f"{STREAMING}{COMPLETION}\r\n{body}\r\n")
        else:
            self._stream(complete=case == "stream")
            if case == "silent":
                self.server.over.wait(PATIENCE)
        return case in {"answer", "refused", "broken", "stream"}

    def _stream(self, *, complete: bool) -> None:
        self._send(STREAMING)
        start: dict[str, Any] = {"type": "message_start", "message": {"usage": USAGE, "model": MODEL}}
        delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": COMPLETION}}
        for event in (start, delta, *([{"type": "message_stop"}] if complete else [])):
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            self._send(f"{len(data):x}\r\n{data}\r\n")
        if complete:
            self._send("0\r\n\r\n")

    def _document(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document)
        self._send(
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n{data}"
        )

    def _send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()


USAGE: Final = {"input_tokens": 7, "output_tokens": 3}
STREAMING: Final = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Listening(socketserver.ThreadingTCPServer):
    """The upstream, what it was asked, and when an answer ends that does not end by itself."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Upstream)
        self.asked: list[str] = []
        self.over = threading.Event()


@contextmanager
def listening() -> Iterator[Listening]:
    with Listening() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join(PATIENCE)


class Gateway:
    """Raw requests to the gateway, as a client sends them that does whatever it likes."""

    def __init__(self, base: str, key: str) -> None:
        self._port, self._key = urlsplit(base).port, key

    def begin(self, case: str, body: bytes, path: str = "/v1/messages", length: int | None = None) -> socket.socket:
        """Send a request, or its beginning when ``length`` says that there is more."""
        return self._begin(f"x-claude-code-case: {case}", body, path, len(body) if length is None else length)

    def _begin(self, line: str, body: bytes, path: str, size: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {self._key}\r\n{line}\r\n"
        connection.sendall(f"{head}connection: close\r\ncontent-length: {size}\r\n\r\n".encode() + body)
        return connection

    def ask(self, case: str, body: bytes, path: str = "/v1/messages") -> bytes:
        """Send a request, and return all that comes until the connection ends."""
        with self.begin(case, body, path) as connection:
            return _rest(connection)

    def tell(self, path: str, content_type: str, body: bytes) -> bytes:
        """Send an agent's telemetry, and return the answer."""
        with self._begin(f"content-type: {content_type}", body, path, len(body)) as connection:
            return _rest(connection)


def _rest(connection: socket.socket) -> bytes:
    answer = b""
    while data := connection.recv(65536):
        answer += data
    return answer


def question(**more: Any) -> bytes:
    said = [{"role": "user", "content": f"{PROMPT} and \u2603"}]
    return json.dumps({"model": MODEL, "max_tokens": 9, "messages": said, "system": PROMPT, **more}).encode()


def everything(gateway: Gateway) -> None:
    """Do all that can happen to a request."""
    for case in CASES[:-1]:
        gateway.ask(case, question(stream=case != "answer"))
    gateway.ask("answer", question(), "/v1/messages/count_tokens")
    for malformed in (
        question()[:-9],
        question().replace(b'"model"', b'"model": "x", "model"'),
        question(model=[PROMPT]),
        b"\xff" + PROMPT.encode(),
        PROMPT.encode() * (LARGEST // 10),
    ):
        assert gateway.ask("answer", malformed)[9:12] in {b"400", b"413"}, malformed
    gateway.ask("answer", question(tools=[{"model": "a", "Model": PROMPT}]))
    gateway.ask("answer", question(model="claude-opus-5"))
    gateway.begin("answer", question()[:-20], length=5_000).close()
    with gateway.begin("silent", question(stream=True)) as connection:
        read_until_it_comes(connection)


def read_until_it_comes(connection: socket.socket) -> None:
    """Read an answer up to the completion, which the upstream does not end."""
    answer = b""
    while COMPLETION.encode() not in answer:
        data = connection.recv(65536)
        assert data, answer
        answer += data


def left_behind(directory: Path, canary: str) -> list[str]:
    """Return the files that have the canary in their content or their name."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [str(path) for path in files if canary.encode() in path.read_bytes() or canary in str(path)]


def switch_on(person: Person, base: str) -> None:
    address, page = person.open(f"{base}/compliance")
    _, page = person.fill(address, page, {"switch": "zero_retention", "on": "yes"})
    assert "Switch zero data retention off" in page


def tell(gateway: Gateway, watched: Watching, *, kept: bool) -> None:
    """Send what agents tell, with the canary in it, and wait for what passes of it: all, or metrics alone."""
    for path, content_type, body in agent_telemetry(f"{PROMPT} {COMPLETION}"):
        assert gateway.tell(path, content_type, body).startswith(b"HTTP/1.1 200"), path
        if not kept:  # whatever it is, said to be metrics
            assert gateway.tell("/v1/metrics", content_type, body).startswith(b"HTTP/1.1 200"), path
    for fake in (watched.first, watched.second):
        fake.wait(condition=partial(_told, fake, 6 if kept else 4))


def _told(fake: FakeCollector, count: int) -> bool:
    """Return whether so much of agents came, and something of the server's own."""
    return count <= len(of_agents(fake.received)) < len(fake.received)


@pytest.mark.requirement("S-22 nothing kept", "S-22 telemetry")
@pytest.mark.parametrize("zero_retention", [False, True])
def test_nothing_of_prompts_and_completions_is_left_behind(tmp_path: Path, zero_retention: bool) -> None:
    with listening() as upstream, watching() as watched:
        settings = watched.settings | {
            "KEYSTEAD_SERVER_DATA_DIR": str(tmp_path / "data"),
            "KEYSTEAD_SERVER_UPSTREAM_URL": f"http://127.0.0.1:{upstream.server_address[1]}",
            "KEYSTEAD_SERVER_UPSTREAM_API_KEY": "upstream-key",
            "KEYSTEAD_SERVER_MAX_BODY_BYTES": str(LARGEST),
            "KEYSTEAD_DEBUG": "1",
            "PYTHONASYNCIODEBUG": "1",
            "TMPDIR": str(tmp_path),
        }
        with RunningServer(tmp_path, settings) as server:
            limits = Path(f"/proc/{server.process.pid}/limits")
            if limits.exists():
                assert "Max core file size        0" in limits.read_text()
            person = server.administrator()
            key = person.create_key()
            if zero_retention:
                switch_on(person, server.base)
            gateway = Gateway(server.base, key)
            everything(gateway)
            tell(gateway, watched, kept=not zero_retention)
            scraped = watched.scraped()
            with gateway.begin("silent", question(stream=True)) as connection:
                read_until_it_comes(connection)
                server.stop(signal.SIGKILL)
            printed = server.output
        with RunningServer(tmp_path, settings) as server:
            assert COMPLETION.encode() in Gateway(server.base, key).ask("answer", question())
            scraped += watched.scraped()
            server.stop()
            printed += server.output
        told = watched.told_by_itself() if not zero_retention else watched.told()
    assert sum(PROMPT in body for body in upstream.asked) > len(CASES), "the canary went through"
    assert left_behind(tmp_path, MODEL), "what is kept is found by this search"
    assert MODEL in told, "what is told is found by this search"
    for family in ("keystead_gateway_tokens_total", "keystead_ledger_cost_usd_total"):
        assert f"{family}{{" in scraped
    for canary in (PROMPT, COMPLETION):
        assert left_behind(tmp_path, canary) == []
        assert canary not in printed + scraped + told
