"""The server itself: HTTP/1.1 on an :mod:`asyncio` protocol, one task per request."""

import asyncio
import contextlib
import hmac
import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

import httptools

from keystead.secret import Secret
from keystead.testing.messages_api import answers, scenarios
from keystead.testing.messages_api.scenarios import Scenario

_PHRASES = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(slots=True)
class Recorded:
    """One request as it arrived.

    Attributes:
        headers: by lower-case name; the last of a repeated one.
        raw_headers: every header line in order, names as they came.
        disconnected: set when the client went away before the answer was complete.
        finished: set when the answer was written completely.
    """

    method: str
    target: str
    headers: dict[str, str]
    raw_headers: list[tuple[str, str]]
    connection: int
    body: bytes = field(default=b"", repr=False)
    disconnected: bool = False
    finished: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class MessagesApi:
    """A Messages API on loopback that is not a model and says so.

    Use it as a context manager (it runs in a thread of its own) or, inside a running loop, ``await serve()``.

    Args:
        api_key: the only credential it accepts, as ``x-api-key`` or bearer; without it every request is answered.
        lists: the models of its list.

    Attributes:
        behaviour: what it does with every request that asks for nothing else, in the words of a scenario.
    """

    def __init__(
        self,
        *,
        api_key: Secret | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        lists: Sequence[str] = (answers.MODEL,),
    ) -> None:
        self.behaviour = ""
        self.lists = tuple(lists)
        self._api_key = api_key
        self._host, self._port = host, port
        self._changed = threading.Condition()
        self._requests: list[Recorded] = []
        self._connections = itertools.count(1)
        self._open: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """The address, such as ``http://127.0.0.1:43211``; known once it serves."""
        return f"http://{self._host}:{self._port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def requests(self) -> list[Recorded]:
        """What arrived so far, oldest first."""
        with self._changed:
            return list(self._requests)

    def wait_for(self, condition: Callable[[list[Recorded]], bool], timeout: float = 30.0) -> None:
        """Block until ``condition`` of the recorded requests, or of the open connections, holds.

        Raises:
            TimeoutError: it did not within ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._requests), timeout):
                raise TimeoutError("the Messages API fake did not see what the test waits for")

    async def serve(self) -> str:
        """Listen in the running loop and return the address."""
        loop = self._loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self.base_url

    async def close(self) -> None:
        """Stop listening and cut every open connection."""
        if self._server is not None:
            self._server.close()
        for transport in list(self._open):
            transport.abort()
        await asyncio.sleep(0)

    def close_idle_connections(self) -> None:
        """Close every open connection, as a server does with kept-alive ones it no longer wants."""
        if self._loop is not None:
            for transport in list(self._open):
                self._loop.call_soon_threadsafe(transport.close)

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(started),), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def _run(self, started: threading.Event) -> None:
        self._stop = asyncio.Event()
        await self.serve()
        started.set()
        await self._stop.wait()
        await self.close()

    def accepts(self, headers: dict[str, str]) -> bool:
        """Return whether the request carries the one accepted credential, or none is asked for."""
        if self._api_key is None:
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
        return hmac.compare_digest(given.encode(), self._api_key.reveal().encode())

    def note(self, change: Callable[[list[Recorded]], None]) -> None:
        """Change the record under its lock and wake whoever waits for it."""
        with self._changed:
            change(self._requests)
            self._changed.notify_all()


class _Connection(asyncio.Protocol):
    """One client connection; requests are answered one after the other."""

    def __init__(self, api: MessagesApi) -> None:
        self.api = api
        self.number = next(api._connections)
        self.parser = httptools.HttpRequestParser(self)
        self.answered = 0
        self.lost = asyncio.Event()
        self.current: Recorded | None = None
        self.task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape, not by class
        self.api._open.add(self.transport)
        self.api.note(lambda _: None)  # whoever waits may wait for this connection

    def connection_lost(self, _error: Exception | None) -> None:
        self.api._open.discard(self.transport)
        self.lost.set()
        self.writable.set()
        recorded = self.current
        unanswered = recorded is not None and not recorded.finished
        self.api.note(lambda _: setattr(recorded, "disconnected", True) if unanswered else None)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self.target = b""
        self.lines: list[tuple[str, str]] = []
        self.parts: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if any(name.lower() == "expect" for name, _ in self.lines):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self.parts.append(data)

    def on_message_complete(self) -> None:
        headers = {name.lower(): value for name, value in self.lines}
        method, target = self.parser.get_method().decode(), self.target.decode("latin-1")
        recorded = Recorded(method, target, headers, self.lines, self.number, b"".join(self.parts))
        self.current = recorded
        self.api.note(lambda requests: requests.append(recorded))
        self.task = asyncio.get_running_loop().create_task(_Answer(self, recorded).run())


class _Answer:
    """The answer to one request, written the way its scenario asks."""

    def __init__(self, connection: _Connection, recorded: Recorded) -> None:
        self.connection = connection
        self.transport = connection.transport
        self.recorded = recorded
        self.id = f"{connection.number:04d}{connection.answered:04d}"
        self.scenario = Scenario()
        self.writes = 0

    async def run(self) -> None:
        reused, self.connection.answered = self.connection.answered > 0, self.connection.answered + 1
        status, body, streamed = self._decide()
        scenario = self.scenario
        if scenario.drop and reused:
            self.transport.close()
            return
        await asyncio.sleep(scenario.late)
        if scenario.informational:
            self.transport.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n")
        parts: Iterable[bytes] = (
            map(answers.encode_event, answers.events(body, scenario, f"msg_{self.id}"))
            if streamed
            else [json.dumps(body, separators=(",", ":")).encode()]
        )
        await self._send(status, streamed, list(parts))

    def _decide(self) -> tuple[int, dict[str, Any], bool]:
        """Return status, body (of an event stream: the request's) and whether to stream."""
        recorded, request_id = self.recorded, f"req_fake_{self.id}"
        if not self.connection.api.accepts(recorded.headers):
            return 401, answers.error(401, request_id), False
        usual = self.scenario = scenarios.parse(self.connection.api.behaviour)
        if usual.error is not None:
            return usual.error, answers.error(usual.error, request_id), False
        if recorded.path == "/v1/models" and recorded.method == "GET":
            return 200, answers.models(self.connection.api.lists), False
        if recorded.path not in ("/v1/messages", "/v1/messages/count_tokens"):
            return 404, answers.error(404, request_id), False
        if recorded.method != "POST":
            return 405, answers.error(405, request_id), False
        try:
            body = json.loads(recorded.body)
            self.scenario = scenarios.requested(recorded.headers, answers.question(body), usual)
        except (ValueError, AttributeError) as error:
            return 400, answers.error(400, request_id, f"The request body is not valid JSON: {error}"), False
        return self._answer(body, request_id)

    def _answer(self, body: dict[str, Any], request_id: str) -> tuple[int, dict[str, Any], bool]:
        if self.scenario.error is not None:
            return self.scenario.error, answers.error(self.scenario.error, request_id), False
        counting = self.recorded.path.endswith("count_tokens")
        for name in ("model", "messages") if counting else ("model", "messages", "max_tokens"):
            if name not in body:
                return 400, answers.error(400, request_id, f"{name}: Field required"), False
        if not answers.is_known_model(str(body["model"])):
            return 404, answers.error(404, request_id, f"model: {body['model']}"), False
        if counting:
            return 200, {"input_tokens": answers.input_tokens(body)}, False
        if body.get("stream") is True:
            return 200, body, True
        return 200, answers.message(body, self.scenario, f"msg_{self.id}"), False

    async def _send(self, status: int, streamed: bool, parts: list[bytes]) -> None:
        framing = self.scenario.framing or ("chunked" if streamed else "length")
        output = [self._head(status, streamed, framing, sum(map(len, parts)))]
        output.extend(b"%x\r\n%b\r\n" % (len(part), part) if framing == "chunked" else part for part in parts)
        if framing == "chunked":
            output.append(b"0\r\n\r\n")
        if self.scenario.split:
            whole, step = b"".join(output), self.scenario.split
            output = [whole[start : start + step] for start in range(0, len(whole), step)]
        if not await self._write(output):
            return
        self.connection.api.note(lambda _: setattr(self.recorded, "finished", True))
        if framing == "close":
            self.transport.close()

    async def _write(self, output: list[bytes]) -> bool:
        """Write the pieces as the scenario asks; returns whether all of them were written."""
        scenario = self.scenario
        if scenario == Scenario() and len(output) <= 2:
            self.transport.write(b"".join(output))
            return True
        for number, piece in enumerate(output):
            if number == scenario.abort:
                self._reset()
                return False
            if number == scenario.hang:
                await self.connection.lost.wait()
            if self.connection.lost.is_set():
                return False
            self.transport.write(piece)
            await self.connection.writable.wait()
            await asyncio.sleep(scenario.slow)
        return not self.connection.lost.is_set()

    def _reset(self) -> None:
        """Cut the connection with a reset rather than an orderly end."""
        raw = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the other end was quicker
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _head(self, status: int, streamed: bool, framing: str, length: int) -> bytes:
        lines = [
            f"HTTP/1.1 {status} {_PHRASES.get(status, 'Status')}",
            "content-type: " + ("text/event-stream; charset=utf-8" if streamed else "application/json"),
            f"request-id: req_fake_{self.id}",
            "x-keystead-upstream: test",
        ]
        if framing == "chunked":
            lines.append("transfer-encoding: chunked")
        elif framing == "length":
            lines.append(f"content-length: {length}")
        if framing == "close":
            lines.append("connection: close")
        if status in (429, 529):
            lines.append("retry-after: 1")
        return "\r\n".join([*lines, "", ""]).encode()
