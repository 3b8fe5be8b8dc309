"""Many processes find the same login expired at the same moment, against a token endpoint that takes its time.

The processes are forked after everything is loaded and wait at a gate, so that what is measured is the renewal and
the waiting for it. Everything is on loopback; the processes end by themselves.
"""

import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.cli.logins import sign_in

from keystead.client import Client
from keystead.clock import SYSTEM_CLOCK
from keystead.drivers import conversation
from keystead.drivers.transport import HttpTransport
from keystead.environment import Environment
from keystead.flows import refresh
from keystead.stores.backoff import Backoff
from keystead.stores.file import FileStore

PRELOADED = (conversation, refresh, Backoff)
"""What a renewal imports when it is due; here before the gate opens."""


@dataclass
class Endpoint:
    """A token endpoint that renews, and counts."""

    url: str
    calls: int = 0


@dataclass(frozen=True)
class Crowd:
    """What came of one gate.

    Attributes:
        calls: of the token endpoint.
        tokens: how many different ones were handed out.
        last: seconds from the opening of the gate until the last process was done.
        middle: the same for the median process.
    """

    processes: int
    calls: int
    tokens: int
    last: float
    middle: float


def run(home: Path, processes: int, latency: float) -> Crowd:
    """Let ``processes`` ask at once, and wait for all."""
    with endpoint(latency) as server:
        sign_in(home / ".keystead", issuer=server.url, age=9000.0)
        results, opened = _fork(home, processes)
        done = [json.loads(line) for line in results]
        if len(done) != processes or any("error" in one for one in done):
            raise RuntimeError(f"{processes} processes asked, and said: {done[:3]}")
        taken = [one["at"] - opened for one in done]
        tokens = len({one["token"] for one in done})
        return Crowd(processes, server.calls, tokens, max(taken), statistics.median(taken))


def _fork(home: Path, processes: int) -> tuple[list[str], float]:
    gate, opener = os.pipe()
    answers, answering = os.pipe()
    children = []
    for _ in range(processes):
        if (child := os.fork()) == 0:
            os.close(opener)
            os.read(gate, 1)
            os.write(answering, _one(home))  # one line, shorter than what a pipe takes in one piece
            os._exit(0)
        children.append(child)
    os.close(gate)
    os.close(answering)
    opened = time.monotonic()
    os.close(opener)
    with os.fdopen(answers) as lines:
        told = lines.read().splitlines()
    for child in children:
        os.waitpid(child, 0)
    return told, opened


def _one(home: Path) -> bytes:
    environment = Environment({"HOME": str(home)}, home, home, managed_dir=home / "managed")
    client = Client(environment, FileStore(environment.state_dir, SYSTEM_CLOCK), HttpTransport, SYSTEM_CLOCK)
    try:
        answer: dict[str, object] = {"token": client.credential().secret.reveal()}
    except Exception as error:  # noqa: BLE001  the parent says it
        answer = {"error": repr(error)}
    return json.dumps({**answer, "at": time.monotonic()}).encode() + b"\n"


@contextmanager
def endpoint(latency: float) -> Iterator[Endpoint]:
    """Serve for the block; each answer takes ``latency`` seconds."""
    counted, guard = Endpoint(""), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            with guard:
                counted.calls += 1
                number = counted.calls
            time.sleep(latency)
            body = json.dumps(
                {
                    "access_token": f"renewed-{number}",
                    "refresh_token": f"rotated-{number}",
                    "token_type": "Bearer",
                    "expires_in": 3600,
                }
            ).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    counted = replace(counted, url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield counted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
