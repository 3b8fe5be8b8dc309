"""A real token endpoint on loopback that rotates as ours does, counts, and can be told what to answer or to wait."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class TokenEndpoint:
    """Each refresh token is good for one renewal; the same one sent again gets the same answer (the grace window).

    Attributes:
        calls: requests so far.
        answer: status, content type, body and further headers to give instead; ``None`` renews.
        arrived: set when a request has arrived.
        go_on: requests wait for it.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.answer: tuple[int, str, bytes] | None = None
        self.headers: dict[str, str] = {}
        self.arrived = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.valid = {"refresh-1"}
        self.renewed: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def take(self, refresh_token: str) -> tuple[int, str, bytes]:
        """Return the answer to one request."""
        with self._lock:
            self.calls += 1
            self.arrived.set()
            if self.answer is not None:
                return self.answer
            if refresh_token not in self.renewed:
                if refresh_token not in self.valid:
                    return 400, "application/json", b'{"error": "invalid_grant"}'
                number = len(self.renewed) + 1
                self.renewed[refresh_token] = tokens(number)
                self.valid = {f"rotated-{number}"}
            return 200, "application/json", self.renewed[refresh_token]

    def close(self) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def _handler(endpoint: TokenEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            status, kind, body = endpoint.take(form.get("refresh_token", [""])[0])
            endpoint.go_on.wait()
            try:
                self.send_response(status)
                for name, value in {"content-type": kind, "content-length": str(len(body)), **endpoint.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client was killed

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


def tokens(number: int) -> bytes:
    """Return the answer to the renewal with this number."""
    return json.dumps(
        {
            "access_token": f"renewed-{number}",
            "refresh_token": f"rotated-{number}",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
    ).encode()


@contextmanager
def running() -> Iterator[TokenEndpoint]:
    """Serve for the block."""
    endpoint = TokenEndpoint()
    try:
        yield endpoint
    finally:
        endpoint.close()
