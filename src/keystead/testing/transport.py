"""A transport that plays a script: for tests of flows and of everything that talks to a server."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from keystead.wire import fields
from keystead.wire.http import Request, Response

Answer = Response | Exception | Callable[[Request], Response]
"""A response, an exception to raise instead, or a function of the request."""


def json_response(status: int, document: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(status, {"content-type": "application/json", **(headers or {})}, fields.dump(document))


@dataclass(slots=True)
class StreamedScript:
    """A streamed response out of a script; an exception among the chunks is raised in its place."""

    status: int
    headers: Mapping[str, str]
    chunks: tuple[bytes | Exception, ...]

    def iter_bytes(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


@dataclass(slots=True)
class ScriptedTransport:
    """Answers from a script, in order, and remembers what it was asked.

    Attributes:
        script: the answers still to give. Where a test cares about addresses rather than order, ``routes``
            gives the answer by ``"METHOD path"`` first.
        requests: every request so far.
    """

    script: list[Answer | StreamedScript] = field(default_factory=list)
    routes: dict[str, Answer | StreamedScript] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def send(self, request: Request) -> Response:
        answer = self._next(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, StreamedScript):
            body = b"".join(answer.iter_bytes())
            return Response(answer.status, answer.headers, body, request.url)
        response = answer(request) if callable(answer) else answer
        return Response(response.status, response.headers, response.body, request.url)

    @contextmanager
    def stream(self, request: Request) -> Iterator[StreamedScript]:
        answer = self._next(request)
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, StreamedScript):
            response = answer(request) if callable(answer) else answer
            answer = StreamedScript(response.status, response.headers, (response.body,))
        yield answer

    def _next(self, request: Request) -> Answer | StreamedScript:
        self.requests.append(request)
        path = "/" + request.url.split("://", 1)[-1].partition("/")[2].partition("?")[0]
        routed = self.routes.get(f"{request.method} {path}")
        if routed is not None:
            return routed
        if not self.script:
            raise AssertionError(f"the script has no answer for {request.method} {path}")
        return self.script.pop(0)
