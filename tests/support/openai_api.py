"""OpenAI's API as far as the gateway relays it, on loopback: fixed answers, a record of what was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

WORDS: Final = ["This", " is", " not", " a", " model"]
CHAT_USAGE: Final = {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}
CHAT_USAGE_CACHED: Final = {**CHAT_USAGE, "prompt_tokens_details": {"cached_tokens": 30}}
RESPONSE_USAGE: Final = {
    "input_tokens": 40,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 47,
}


class OpenAIApi:
    """What was asked so far: path, headers by lower-case name, body."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def chat(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a chat completion; what was used only where it was asked for."""
    about = {"id": "chatcmpl_1", "object": "chat.completion.chunk", "created": 1, "model": document["model"]}
    for word in WORDS:
        yield {**about, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
    yield {**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if document.get("stream_options", {}).get("include_usage"):
        yield {**about, "choices": [], "usage": CHAT_USAGE_CACHED}


def completion(document: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    about = {"id": "chatcmpl_1", "object": "chat.completion", "created": 1, "model": document["model"]}
    return {**about, "choices": choices, "usage": CHAT_USAGE_CACHED}


def response(document: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "output_text", "text": "".join(WORDS), "annotations": []}]
    output = [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}]
    about = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": document["model"]}
    return {**about, "output": output, "usage": RESPONSE_USAGE}


def responding(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a response, as it becomes."""
    for number, word in enumerate(WORDS):
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": number}
        yield {"type": "response.output_text.delta", "delta": word, "logprobs": [], **place}
    yield {"type": "response.completed", "sequence_number": len(WORDS), "response": response(document)}


_ANSWERS: Final = {"/v1/chat/completions": (completion, chat), "/v1/responses": (response, responding)}


@contextmanager
def serving(key: str) -> Iterator[OpenAIApi]:
    """Answer on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            api.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            document = json.loads(body)
            whole, pieces = _ANSWERS[self.path]
            if self.headers["authorization"] != f"Bearer {key}":
                self._say(401, {"error": {"message": "Incorrect API key", "type": "invalid_request_error"}})
            elif not document.get("stream"):
                self._say(200, whole(document))
            else:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for event in pieces(document):
                    name = f"event: {event['type']}\n" if "type" in event else ""
                    self._chunk(f"{name}data: {json.dumps(event)}\n\n".encode())
                self._chunk(b"data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

        def _say(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api = OpenAIApi(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
