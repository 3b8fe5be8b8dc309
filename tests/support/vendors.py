"""Every kind of upstream as its vendor runs it: what it answers byte by byte, and on whose credential it insists.

One :class:`Vendor` is one server on loopback. It answers in its kind's own words, refuses whoever cannot prove who they
are, dies or falls silent where a test says so, and knows when whoever asked has gone.
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from local_server import Asked

from keystead.server.gateway.ports import Kind
from keystead.wire import event_stream

MODEL: Final = "claude-x"
_USED: Final = (
    '"usage":{"input_tokens":11,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_1h_input_tokens":3},'
    '"cache_read_input_tokens":5,"output_tokens":'
)
_SEARCHED: Final = '"server_tool_use":{"web_search_requests":2}}'
_TEXT: Final = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ünï\\u00e9"}}'
EVENTS: Final = (
    ("message_start", f'{{"type":"message_start","message":{{"id":"msg_v","content":[],{_USED}1}}}}}}'),
    ("ping", '{"type": "ping"}'),
    ("new_thing", '{"type":"new_thing","z":1.0e2}'),
    ("content_block_delta", _TEXT),
    ("message_delta", f'{{"type":"message_delta","delta":{{}},"usage":{{"output_tokens":9,{_SEARCHED}}}'),
    ("message_stop", '{"type":"message_stop"}'),
)
"""A stream of the Messages API, with pings and what no client knows yet."""
_DOCUMENT: Final = (
    '{ "id" : "msg_v", "type":"message",\n\t"role":"assistant","model":"m", "new_thing":{"z":1.0e2},'
    f'"content":[{{"type":"text","text":"ünï\\u00e9 \\"usage\\""}}], {_USED}9,{_SEARCHED}}} \n'
).encode()
_COUNTED: Final = (11, 9, 5, 7, 3, 2)
_SSE: Final = tuple(f"event: {name}\ndata: {data}\n\n".encode() for name, data in EVENTS)
_EVENTS: Final = "text/event-stream; charset=utf-8"
_CHAT: Final = (
    '{"id": "chatcmpl_1", "choices":[{"index":0,"message":{"role":"assistant","content":"ü"}}], "z":1.0e2,'
    '"usage":{"prompt_tokens":50,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":30}}}'
).encode()
_CHAT_USED: Final = (
    b'{"choices":[],"usage":{"prompt_tokens":50,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":30}}}'
)
_CHAT_STREAM: Final = (
    b'data: {"id":"chatcmpl_1","choices":[{"index":0,"delta":{"content":"\\u00fc"}}],"z":1.0e2}\n\n',
    b"data: %b\n\n" % _CHAT_USED,
    b"data: [DONE]\n\n",
)


@dataclass(frozen=True)
class Speech:
    """How one kind answers.

    Attributes:
        target: what the client asks the gateway for.
        whole: the document.
        pieces: the stream, write by write, as this vendor sends it.
        kind: its content type.
        told: the stream as a client is to get it.
        counted: input, output, cache read, cache write, cache write of an hour, and searches, as both of them say.
        error: an error of this vendor's, with a sentence in it.
        enveloped: whether the gateway puts that into another envelope, for it is not the client's format.
        counts: whether it counts tokens.
        same_body: whether what is asked arrives byte for byte.
    """

    target: str
    whole: bytes
    pieces: tuple[bytes, ...]
    kind: str
    told: bytes
    counted: tuple[int, ...]
    error: Callable[[int, str], bytes]
    enveloped: bool = False
    counts: bool = True
    same_body: bool = True


def _messages_error(status: int, said: str) -> bytes:
    return b'{ "type":"error", "error":{"type":"odd_%d","message":"%b"},"request_id":"req_v"}\n' % (
        status,
        said.encode(),
    )


def _amazons_error(_status: int, said: str) -> bytes:
    return json.dumps({"message": said}).encode()


def _googles_error(status: int, said: str) -> bytes:
    return json.dumps([{"error": {"code": status, "message": said, "status": "ODD"}}]).encode()


def _framed(data: str) -> bytes:
    payload = json.dumps({"bytes": base64.b64encode(data.encode()).decode(), "p": "abcdef"}).encode()
    return event_stream.dump(event_stream.Message({":message-type": "event", ":event-type": "chunk"}, payload))


MESSAGES: Final = Speech(
    "/v1/messages?beta=true", _DOCUMENT, _SSE, _EVENTS, b"".join(_SSE), _COUNTED, _messages_error
)  # fmt: skip
BEDROCK: Final = Speech(
    "/v1/messages?beta=true", _DOCUMENT, tuple(_framed(data) for _, data in EVENTS), event_stream.CONTENT_TYPE,
    b"".join(_SSE), _COUNTED, _amazons_error, enveloped=True, counts=False, same_body=False,
)  # fmt: skip
VERTEX: Final = Speech(
    "/v1/messages?beta=true", _DOCUMENT, _SSE, _EVENTS, b"".join(_SSE), _COUNTED, _googles_error,
    enveloped=True, same_body=False,
)  # fmt: skip
OPENAI: Final = Speech(
    "/v1/chat/completions", _CHAT, _CHAT_STREAM, "text/event-stream", b"".join(_CHAT_STREAM), (20, 5, 30, 0, 0, 0),
    lambda status, said: json.dumps({"error": {"message": said, "code": status}}).encode(), counts=False,
)  # fmt: skip
SPEECHES: Final = {
    Kind.ANTHROPIC: MESSAGES,
    Kind.AWS: MESSAGES,
    Kind.BEDROCK: BEDROCK,
    Kind.VERTEX: VERTEX,
    Kind.FOUNDRY: MESSAGES,
    Kind.MESSAGES: MESSAGES,
    Kind.OPENAI: OPENAI,
}
_PREFIXES: Final = {Kind.FOUNDRY: "/anthropic", Kind.VERTEX: "/v1"}
_WAIT: Final = 10.0


@dataclass
class Vendor:
    """A running vendor.

    Attributes:
        trusts: whether a request proves who asks; nothing is answered otherwise but 401.
        asked: every request but for those of ``elsewhere``.
        elsewhere: other addresses it has, such as that of its tokens, by path.
        error: a status to answer with instead.
        dies_after: bytes of an answer, head included, after which the connection ends.
        late: seconds before anything is answered, unless ``released`` comes first.
        silent_after: pieces of a stream after which nothing comes any more.
        left: set when whoever waited for such a stream has gone.
    """

    kind: Kind
    speech: Speech
    port: int = 0
    trusts: Callable[[Asked], bool] = lambda _: True
    asked: list[Asked] = field(default_factory=list)
    elsewhere: dict[str, Callable[[Asked], tuple[int, object]]] = field(default_factory=dict)
    error: int | None = None
    dies_after: int | None = None
    late: float = 0.0
    released: threading.Event = field(default_factory=threading.Event)
    silent_after: int | None = None
    left: threading.Event = field(default_factory=threading.Event)
    refused: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return self.url + _PREFIXES.get(self.kind, "")

    def answer(self, asked: Asked) -> tuple[bytes, tuple[bytes, ...]]:
        """Return the head and the pieces of the answer."""
        self.asked.append(asked)
        if not self.trusts(asked):
            self.refused += 1
            return _document(401, self.speech.error(401, "Who are you?"))
        if self.error is not None:
            return _document(self.error, self.speech.error(self.error, "The vendor says no."), b"retry-after: 7\r\n")
        return self._usual(asked)

    def _usual(self, asked: Asked) -> tuple[bytes, tuple[bytes, ...]]:
        if _counts_tokens(asked.path):
            return _document(200, b'{ "input_tokens" : 3 }')
        if not self._streams(asked):
            return _document(200, self.speech.whole)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {self.speech.kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        return head.encode(), (*(b"%x\r\n%b\r\n" % (len(one), one) for one in self.speech.pieces), b"0\r\n\r\n")

    def _streams(self, asked: Asked) -> bool:
        if self.kind is Kind.BEDROCK:
            return asked.path.endswith("/invoke-with-response-stream")
        return json.loads(asked.body).get("stream") is True

    def whole_answer(self, *, stream: bool) -> bytes:
        """Return every byte of a usual answer."""
        path = "/invoke-with-response-stream" if stream else "/invoke"
        head, pieces = self._usual(Asked("POST", path, {}, json.dumps({"stream": stream})))
        return head + b"".join(pieces)


def _counts_tokens(path: str) -> bool:
    return path.partition("?")[0].endswith(("/count_tokens", "/count-tokens:rawPredict"))


def _document(status: int, body: bytes, more: bytes = b"") -> tuple[bytes, tuple[bytes, ...]]:
    head = b"HTTP/1.1 %d Said\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status, more, len(body)), (body,)


class _Handler(BaseHTTPRequestHandler):
    """Answers for one vendor; a subclass says for which."""

    vendor: Vendor
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        other = self.vendor.elsewhere.get(self.path.partition("?")[0])
        if other is None:
            self._say(*self.vendor.answer(asked))
            return
        status, content = other(asked)
        head, pieces = _document(status, json.dumps(content).encode())
        self.wfile.write(head + b"".join(pieces))

    def _say(self, head: bytes, pieces: tuple[bytes, ...]) -> None:
        if self.vendor.late and self.vendor.released.wait(self.vendor.late):
            self.close_connection = True
            return
        if self.vendor.dies_after is not None:
            self.wfile.write((head + b"".join(pieces))[: self.vendor.dies_after])
            self.close_connection = True
            return
        if self.vendor.silent_after is not None:
            self.wfile.write(head + b"".join(pieces[: self.vendor.silent_after]))
            self._wait_for_the_end()
            return
        for piece in (head, *pieces):
            self.wfile.write(piece)

    def _wait_for_the_end(self) -> None:
        self.close_connection = True
        self.connection.settimeout(_WAIT)
        try:
            gone = self.connection.recv(1) == b""
        except ConnectionResetError:
            gone = True
        except TimeoutError:
            gone = False
        if gone:
            self.vendor.left.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def vendor(kind: Kind) -> Iterator[Vendor]:
    """Run the vendor of a kind for the block; it trusts everybody until it is told whom to trust."""
    state = Vendor(kind, SPEECHES[kind])
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"vendor": state}))
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
