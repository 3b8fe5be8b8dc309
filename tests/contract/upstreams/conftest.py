"""A real gateway on uvicorn and uvloop, in a thread, before the Messages API fake."""

import asyncio
import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from upstreams import UPSTREAM_KEY, upstream

from keystead.clock import SYSTEM_CLOCK
from keystead.secret import Secret
from keystead.server.dpop import Checker, Memory, Nonces
from keystead.server.gateway import Gateway, Limits
from keystead.server.gateway.pages import ASGIApp
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.usage.record import UsageRecord
from keystead.testing.messages_api import MessagesApi
from keystead.wire.tokens import TokenKind, digest, mint

KEY = mint(TokenKind.API_KEY, lambda size: b"\1" * size)
OTHER_KEY = mint(TokenKind.API_KEY, lambda size: b"\2" * size)
BEARER = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJfMSJ9.c2lnbmF0dXJl"


def principal(kind: PrincipalKind, name: str, expires_at: float | None = None) -> Principal:
    return Principal(kind, name, "org_1", "wrk_1", "mem_1", expires_at=expires_at)


@dataclass
class Directory:
    """Known credentials, and a switch for trouble."""

    keys: dict[bytes, Principal] = field(default_factory=dict)
    bearers: dict[bytes, Principal] = field(default_factory=dict)
    trouble: Exception | None = None

    def by_key(self, key_digest: bytes) -> Principal | None:
        if self.trouble:
            raise self.trouble
        return self.keys.get(key_digest)

    def by_bearer(self, token: bytes) -> Principal | None:
        if self.trouble:
            raise self.trouble
        return self.bearers.get(hashlib.sha256(token).digest())


class Ledger:
    """Rows in memory, a way to wait for them, and a switch for a database that does not keep up."""

    saturated = False

    def __init__(self) -> None:
        self.rows: list[UsageRecord] = []
        self._changed = threading.Condition()

    def append(self, record: UsageRecord) -> None:
        with self._changed:
            self.rows.append(record)
            self._changed.notify_all()

    def wait(self, count: int = 1) -> list[UsageRecord]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.rows) >= count, 60), "the ledger got no row"
            return list(self.rows)


class Answer:
    """One HTTP response as it came off a socket."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if raw else 0
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}

    @property
    def error(self) -> dict[str, str]:
        document = json.loads(self.body)
        assert document["type"] == "error"
        assert document["request_id"] == self.headers["x-request-id"]
        error: dict[str, str] = document["error"]
        return error


@dataclass
class Running:
    """A running gateway and what stands around it."""

    api: MessagesApi
    directory: Directory
    ledger: Ledger
    gateway: Gateway
    server: "_Server"
    port: int
    key: str = KEY
    other_key: str = OTHER_KEY
    bearer: str = BEARER

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def head(
        self, *lines: str, length: int | None = None, target: str = "/v1/messages", key: str | None = KEY
    ) -> bytes:
        """Return a request head; ``lines`` are additional header lines."""
        usual = ["host: gateway", "content-type: application/json"]
        credential = [] if key is None else [f"x-api-key: {key}"]
        framing = [] if length is None else [f"content-length: {length}"]
        return "\r\n".join([f"POST {target} HTTP/1.1", *usual, *credential, *framing, *lines, "", ""]).encode("latin-1")

    def send(self, raw: bytes) -> Answer:
        """Send bytes on a new connection, and return the whole answer that comes back."""
        with self.connect() as connection:
            connection.sendall(raw)
            return self.read(connection)

    def read(self, connection: socket.socket) -> Answer:
        """Read one response: up to its length, its last chunk, or the end of the connection."""
        raw = b""
        while not _complete(raw):
            try:
                data = connection.recv(65536)
            except ConnectionResetError:
                break
            if not data:
                break
            raw += data
            if raw.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in raw:
                raw = raw.partition(b"\r\n\r\n")[2]
        return Answer(raw)

    def ask(self, body: bytes | None = None, *lines: str, **more: Any) -> Answer:
        """Post a body (a small valid one by default) and return the answer."""
        body = question() if body is None else body
        return self.send(self.head(*lines, length=len(body), **more) + body)


def question(text: str = "hello", *, stream: bool = False, **more: Any) -> bytes:
    """Return a valid request body."""
    document = {"max_tokens": 16, "messages": [{"role": "user", "content": text}], "model": "keystead-test-1", **more}
    return json.dumps(document | ({"stream": True} if stream else {})).encode()


def _complete(raw: bytes) -> bool:
    if b"\r\n\r\n" not in raw:
        return False
    answer = Answer(raw)
    if answer.headers.get("transfer-encoding") == "chunked":
        return answer.body.endswith(b"0\r\n\r\n")
    length = answer.headers.get("content-length")
    return length is not None and len(answer.body) >= int(length)


class _Server(uvicorn.Server):
    """Ends when it is told to, where uvicorn's own looks ten times a second: more than a thousand tests end one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told: asyncio.Event | None = None

    async def main_loop(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        await self.on_tick(0)
        if not self.should_exit:
            await self._told.wait()

    def end(self) -> None:
        """Have it finish what is under way and end; from any thread."""
        self.should_exit = True
        if self._told is not None:
            self._loop.call_soon_threadsafe(self._told.set)


@contextlib.contextmanager
def serving(
    api: MessagesApi,
    limits: Limits | None = None,
    otherwise: ASGIApp | None = None,
    certificate: Path | None = None,
    **more: Any,
) -> Iterator[Running]:
    """Run a gateway in a thread until the end of the block; by TLS where it has a certificate."""
    directory = Directory(
        keys={
            digest(KEY): principal(PrincipalKind.API_KEY, "key_1"),
            digest(OTHER_KEY): principal(PrincipalKind.API_KEY, "key_2"),
        },
        bearers={hashlib.sha256(BEARER.encode()).digest(): principal(PrincipalKind.SESSION, "gra_1")},
    )
    ledger = Ledger()
    upstreams = more.pop("upstreams", None) or (upstream(api.base_url),)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    proofs = Checker(Nonces(b"only for tests"), Memory().spend)
    given = {"directory": directory, "ledger": ledger, "upstreams": lambda _: upstreams, "clock": SYSTEM_CLOCK, **more}
    gateway = Gateway(limits=limits or Limits(), **{"origin": origin, "proofs": proofs, **given})
    config = uvicorn.Config(
        gateway.asgi(otherwise),
        http=gateway.http_protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        ssl_certfile=certificate,
        ssl_keyfile=certificate and str(certificate),
    )
    server = _Server(config)

    async def run() -> None:
        await server.serve([listener])
        gateway.close()
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: uvloop.run(run()), daemon=True)
    thread.start()
    try:
        yield Running(api, directory, ledger, gateway, server, listener.getsockname()[1])
    finally:
        server.end()
        thread.join(60)
        listener.close()
        assert not thread.is_alive(), "the gateway did not drain"


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    with MessagesApi(api_key=Secret(UPSTREAM_KEY)) as running:
        yield running


@pytest.fixture
def running(api: MessagesApi) -> Iterator[Running]:
    with serving(api) as one:
        yield one


@pytest.fixture
def serve(api: MessagesApi) -> Iterator[Callable[..., Running]]:
    """Return a function that starts a gateway with its own limits; it ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda limits=None, **more: stack.enter_context(serving(api, limits, **more))
