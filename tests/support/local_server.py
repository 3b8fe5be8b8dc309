"""A small HTTP server on loopback that answers from a table and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, str, object]
"""Status, content type, and a body: text, or anything else as JSON."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass(slots=True)
class LocalServer:
    """The table, by ``METHOD /path`` without the query; ``*`` answers the rest."""

    answers: dict[str, Answer | Callable[[Asked], Answer]]
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        row = self.answers.get(f"{asked.method} {asked.path.partition('?')[0]}", self.answers.get("*"))
        if row is None:
            return 404, "text/plain", "not here"
        return row(asked) if callable(row) else row


@contextmanager
def local_server(answers: dict[str, Answer | Callable[[Asked], Answer]]) -> Iterator[LocalServer]:
    """Serve ``answers`` for the block."""
    state = LocalServer(answers)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, self.rfile.read(size).decode())
            status, kind, content = state.answer(asked)
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("metadata-flavor", "Google")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = _serve

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
