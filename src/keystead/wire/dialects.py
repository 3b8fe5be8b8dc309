"""How the Messages API is spoken at a place: which path, what stands in the body, and what an error looks like.

The API itself and what passes it on unchanged speak :data:`MESSAGES`. Bedrock and Vertex AI want the model in the
path and their own version in the body.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from keystead.wire import event_stream, fields, messages, sse
from keystead.wire.fields import Fields, Malformed
from keystead.wire.messages import ApiError, Question

WORKSPACE: Final = "anthropic-workspace-id"
"""The header in which Claude Platform on AWS is told the workspace."""
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/\-]{0,255}")
_BY_STATUS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    424: "api_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to speak.

    Attributes:
        path: below the base URL; ``{model}`` in it is where the model goes.
        version: in the body, where the model stands in the path; None sends the header instead.
        stream: whether the body says that the answer is to be streamed; otherwise the path does.
        headers: what else the place wants to be told.
    """

    path: str = "/v1/messages"
    version: str | None = None
    stream: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)

    def address(self, model: str) -> str:
        """Return the path for ``model``.

        Raises:
            ValueError: a name that could lead elsewhere.
        """
        if self.version is None:
            return self.path
        if not _MODEL.fullmatch(model):
            raise ValueError("a model's name has letters, digits and . _ : @ / - and begins with a letter or digit")
        return self.path.replace("{model}", quote(model, safe="@"))

    def head(self) -> dict[str, str]:
        """Return the headers of a question, but for the credential."""
        version = {} if self.version else {"anthropic-version": messages.VERSION}
        return {"content-type": "application/json", **version, **self.headers}

    def body(self, question: Question) -> bytes:
        """Return the body of a question."""
        members = messages.members(question)
        if self.version is None:
            return fields.dump(members)
        left_out = {"model"} if self.stream else {"model", "stream"}
        kept = {name: value for name, value in members.items() if name not in left_out}
        return fields.dump({"anthropic_version": self.version, **kept})


MESSAGES: Final = Dialect()
BEDROCK: Final = Dialect("/model/{model}/invoke-with-response-stream", "bedrock-2023-05-31", stream=False)


def vertex(project: str, region: str) -> Dialect:
    """Return how Vertex AI is spoken to in one project and region."""
    place = f"/projects/{quote(project, safe=':')}/locations/{region}"
    return Dialect(f"{place}/publishers/anthropic/models/{{model}}:streamRawPredict", "vertex-2023-10-16")


def stream_parser(content_type: str) -> "sse.Parser | event_stream.MessagesParser | None":
    """Return what reads a streamed answer of that type; None when it is no stream."""
    if content_type.startswith(event_stream.CONTENT_TYPE):
        return event_stream.MessagesParser()
    return sse.Parser() if content_type.startswith("text/event-stream") else None


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError | None:
    """Return the error in an answer of the Messages API, of Amazon, Google or Microsoft; None when there is none."""
    error = messages.parse_error(body)
    if error is not None:
        return error
    try:
        # Google's streamed methods put their one answer into a list.
        text = _said(Fields.parse(body.strip().removeprefix(b"[").removesuffix(b"]"), "error"))
    except Malformed:
        return None
    code = headers.get("x-amzn-errortype", "").partition(":")[0]
    kind = event_stream.EXCEPTIONS.get(code) or _BY_STATUS.get(status, "api_error")
    return None if text is None else ApiError(kind, text, headers.get("x-amzn-requestid"))


def _said(document: Fields) -> str | None:
    inner = document.object("error") if document.has("error") else document
    return inner.optional_text("message") or inner.optional_text("Message")
