"""What the clouds that do not speak the Messages API themselves have in common: the head, the body, the errors."""

import json
import re
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Final

from keystead.server.gateway.ports import Unsigned
from keystead.server.gateway.refusals import TYPES, Refusal
from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.upstreams.translation import Translation, document
from keystead.wire.event_stream import EXCEPTIONS
from keystead.wire.http1 import MalformedResponse, ResponseHead
from keystead.wire.members import edited
from keystead.wire.model_scan import RequestFacts

if TYPE_CHECKING:
    from keystead.server.gateway.upstream import Listener, Pool

_JSON: Final = (b"content-type", b"application/json")
_IN_PATH: Final = re.compile(r"[A-Za-z0-9](?:[./]?[A-Za-z0-9_:@~+\[\]-])*")
"""A model's name without dot segments, empty ones and a second encoding."""
_LARGEST_ERROR: Final = 1 << 20
_STATUS: Final = re.compile(rb"\r\n(?:retry-after|x-amzn-errortype|x-amzn-requestid):[^\r\n]*", re.IGNORECASE)
"""What of an error's head is of use to a client, or to whoever asks the cloud about it."""
_EXCEPTION: Final = re.compile(rb"\r\nx-amzn-errortype:[ \t]*(?:[^\r\n#]*#)?(\w+)", re.IGNORECASE)


def request(pool: "Pool", head: RequestHead, path: str, body: bytes, dropped: frozenset[bytes]) -> Sequence[bytes]:
    """Return a request to ``path`` below the base URL.

    Args:
        pool: where it goes.
        head: the client's.
        path: percent-encoded.
        body: in the cloud's form.
        dropped: the client's headers that mean nothing there.

    Raises:
        CredentialUnavailable: there is none now.
    """
    target = pool.prefix + path.encode("ascii")
    dropped = dropped | {_JSON[0]}
    passed = tuple(line for line in head.headers_for(pool, own=False) if line[0] not in dropped)
    own = [(name.encode("ascii"), value.encode("ascii")) for name, value in pool.upstream.headers]
    credential = pool.credential.fixed
    if credential is None:
        unsigned = Unsigned(b"POST", pool.host, target, (_JSON, *passed, *own), body)
        credential = pool.credential.lines(unsigned)
    lines = b"".join([b"%b: %b\r\n" % line for line in (_JSON, *passed)])
    start = b"POST %b HTTP/1.1\r\n%b%b%b" % (target, pool.head, credential, lines)
    return (b"%bcontent-length: %d\r\n\r\n" % (start, len(body)), body)


def model_of(pool: "Pool", head: RequestHead, facts: RequestFacts) -> str:
    """Return this cloud's name for the model.

    The administrator's comes first, then the one of a client that speaks its format, then the one that is known.
    """
    if head.own is not None and head.own.kind is pool.upstream.kind and facts.model not in pool.upstream.models:
        return head.own.model
    return pool.models.get(facts.model, facts.model)


def model_in_path(pool: "Pool", head: RequestHead, facts: RequestFacts) -> str:
    """Return this cloud's name for the model, where it becomes a part of the path.

    A name such as ``claude-sonnet-5-/../claude-opus-5`` is judged by how it begins, and a proxy before the cloud that
    takes the encoding off could ask for how it ends.

    Raises:
        Refusal: 400, no model of a cloud is called so.
    """
    model = model_of(pool, head, facts)
    if _IN_PATH.fullmatch(model) is None:
        raise Refusal(400, "model: this upstream has it in its address, where no such name can be.")
    return model


def version_of(pool: "Pool", head: RequestHead) -> str:
    """Return the ``anthropic_version`` of a client that speaks this cloud's format, or nothing."""
    return head.own.version if head.own is not None and head.own.kind is pool.upstream.kind else ""


def body_with(body: bytes, without: Set[str], first: Mapping[str, object]) -> bytes:
    """Return the body in a cloud's form: see :func:`keystead.wire.members.edited`.

    Raises:
        Refusal: 400, it is not JSON.
    """
    try:
        return edited(body, without, dict(first))
    except ValueError as error:
        raise not_json() from error


def not_json() -> Refusal:
    """Return what a client is told whose body cannot be put into another form."""
    return Refusal(400, "The request body is not a JSON object in UTF-8. Send one.")


def named(head: RequestHead, header: bytes) -> list[str]:
    """Return what the client's headers of this name list, each once, in their order."""
    lines = [line.partition(b": ") for line in head.forward.split(b"\r\n")]
    values = [value for name, _, value in lines if name == header]
    listed = [one.strip().decode("latin-1") for value in values for one in value.split(b",")]
    return list(dict.fromkeys(one for one in listed if one))


class Errors(Translation):
    """Gives errors the Messages API's envelope with the cloud's own words in it; passes everything else on."""

    __slots__ = ("_error", "_size", "_text")

    def __init__(self, asked: "Listener") -> None:
        super().__init__(asked)
        self._error: ResponseHead | None = None
        self._text: list[bytes] = []
        self._size = 0

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        if head.status >= 400:
            self._error = head
        else:
            super().on_head(head, more=more)

    def on_body(self, raw: bytes, payload: bytes) -> None:
        if self._error is None:
            super().on_body(raw, payload)
            return
        self._size += len(payload)
        if self._size > _LARGEST_ERROR:
            raise MalformedResponse("its error is too long")
        self._text.append(payload)

    def on_end(self) -> None:
        if self._error is None:
            super().on_end()
        else:
            self.on_answer(self._error, b"".join(self._text))

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        if head.status >= 400:
            body = envelope(head, body)
            head = _with_status_lines(document(head.status, body), head)
        super().on_answer(head, body)


def _with_status_lines(made: ResponseHead, head: ResponseHead) -> ResponseHead:
    made.fields += b"".join(_STATUS.findall(head.fields))
    return made


def envelope(head: ResponseHead, body: bytes) -> bytes:
    """Return an error of a cloud as one of the Messages API, its wording kept; one that is in its form stays as it is.

    Known are Amazon's ``{"message"}``, Google's ``{"error": {"message"}}`` and the same in a list; of anything else
    the text is what counts.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = body.decode("utf-8", "replace").strip()
    if isinstance(said, dict) and said.get("type") == "error" and isinstance(said.get("error"), dict):
        return body
    message = message_of(said) or f"The upstream answered {head.status} and gave no reason."
    error = {"type": _type(head), "message": message}
    return json.dumps({"type": "error", "error": error}, separators=(",", ":")).encode("ascii")


def message_of(said: Any) -> str:
    """Return the words of an error in any of the known forms."""
    while isinstance(said, list) and said:
        said = said[0]
    if isinstance(said, dict):
        inner = said.get("error", said)
        said = inner if isinstance(inner, str) else _first_text(inner) or _first_text(said)
    return said if isinstance(said, str) else ""


def _first_text(said: Any) -> str:
    if not isinstance(said, dict):
        return ""
    return next((said[name] for name in ("message", "Message") if isinstance(said.get(name), str)), "")


def _type(head: ResponseHead) -> str:
    """Return the error type: by Amazon's name for it, else by the status."""
    named = _EXCEPTION.search(head.fields)
    found = EXCEPTIONS.get(named[1].decode("ascii", "replace")) if named is not None else None
    return found or TYPES.get(head.status, "api_error")
