"""An OTLP collector on loopback that keeps what it is sent, and answers as it is told."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Keep the tests' output clean: clients hang up, and refuse certificates."""


class FakeCollector:
    """Answers with the statuses of :attr:`statuses` in turn, and with 200 when there is none left.

    Args:
        tls: what it serves TLS by, if it does.

    Attributes:
        after: ``Retry-After`` of each answer, if any.
        answer: body of each.
        awake: nothing is answered while it is not set.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.statuses: list[int] = []
        self.after = ""
        self.answer = b""
        self.awake = threading.Event()
        self.awake.set()
        self.received: list[Received] = []
        self.connections = 0
        self._changed = threading.Condition()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                fake.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = fake.take(Received(self.path, headers, body))
                fake.awake.wait(60)
                self.send_response(status)
                if fake.after:
                    self.send_header("retry-after", fake.after)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", str(len(fake.answer)))
                self.end_headers()
                self.wfile.write(fake.answer)

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Return its base address."""
        return f"http://127.0.0.1:{self.port}"

    def take(self, received: Received) -> int:
        """Keep a request; returns the status to answer with."""
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
            return self.statuses.pop(0) if self.statuses else 200

    def wait(self, count: int = 1, condition: Callable[[], bool] = lambda: True) -> list[Received]:
        """Return what came, once it is so much."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count and condition(), 60), "nothing came"
            return list(self.received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.awake.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
