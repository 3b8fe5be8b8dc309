"""Bringing a request in a cloud's format into Messages form. Every character that is not about the format stays."""

import base64
import binascii
import json
import re
from typing import Final, NamedTuple

from keystead.server.gateway.refusals import Refusal
from keystead.wire import model_scan
from keystead.wire.fields import Fields, Malformed
from keystead.wire.members import members

_VERSION: Final = b"2023-06-01"
"""Of the Messages API, where the client names a cloud's version or none."""
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OF_FORMAT: Final = frozenset({"anthropic_beta", "anthropic_version", "model", "stream", "user_profile_id"})
"""What a cloud has in the body; the Messages API has it in headers, and the path's part of it in the body."""
_OF_ANSWER: Final = frozenset(
    {"max_tokens", "metadata", "service_tier", "stop_sequences", "temperature", "top_k", "top_p"}
)
"""What is about the answer, and so none of a question's that asks for a number."""
_DROPPED: Final = (b"accept", b"anthropic-beta", b"anthropic-version", b"content-type")
"""Headers that are left out, or made anew."""


class Request(NamedTuple):
    """A request in Messages form.

    Attributes:
        body: of it.
        lines: headers to be sent on, each with its line end.
        version: what the client wrote for ``anthropic_version``, or empty.
    """

    body: bytes
    lines: bytes
    version: str = ""


def model_of(body: bytes) -> str:
    """Return the model that a body names.

    Raises:
        Refusal: 400, it names none, or names it in a way that two servers could read differently.
    """
    facts = model_scan.scan(body)
    if isinstance(facts, model_scan.BodyFault):
        raise Refusal(400, facts.reason)
    return facts.model


def counted(body: bytes, lines: bytes, model: str, *, stream: bool | None) -> Request:
    """Return Amazon's question for a number of tokens in Messages form; what it is about is a body within the body.

    Raises:
        Refusal: 400, it is about no body for ``invoke``, or that is none.
    """
    try:
        asked = Fields.parse(body, "request").object("input").object("invokeModel").text("body")
        inner = base64.b64decode(asked, validate=True)
    except (Malformed, binascii.Error) as error:
        raise Refusal(400, "The tokens of input.invokeModel.body are counted, in base64. Send that.") from error
    return in_messages_form(inner, lines, model, stream=stream, without=_OF_FORMAT | _OF_ANSWER)


def in_messages_form(
    body: bytes, lines: bytes, model: str, *, stream: bool | None, without: frozenset[str] = _OF_FORMAT
) -> Request:
    """Return a request of Amazon's or Google's format in Messages form.

    Args:
        body: as it came.
        lines: the client's headers that are sent on, each with its line end.
        model: what to call the model.
        stream: whether the address asks for a stream.
        without: the members that are left out, or become headers.

    Raises:
        Refusal: 400, the body is not a JSON object in UTF-8.
    """
    first = [b'"model":%b' % json.dumps(model).encode("ascii"), *([b'"stream":true'] if stream else [])]
    try:
        own, others = _taken_apart(body, without)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The request body is not a JSON object in UTF-8. Send one.") from error
    turned = b"{%b}" % b",".join([*first, *others])
    kept, passed = _split(lines)
    version = own["anthropic_version"][0] if own["anthropic_version"] else ""
    betas = [name.strip() for value in passed[b"anthropic-beta"] for name in value.split(b",")]
    betas = list(dict.fromkeys([*betas, *(_header(one) for one in own["anthropic_beta"])]))
    versions = [_header(version)] if _DATE.fullmatch(version) else passed[b"anthropic-version"]
    made = [
        (b"content-type", b"application/json"),
        (b"anthropic-version", (versions or [_VERSION])[0]),
        (b"anthropic-beta", b",".join(one for one in betas if one)),
        *((b"anthropic-user-profile-id", _header(one)) for one in own["user_profile_id"][:1]),
    ]
    return Request(turned, kept + b"".join([b"%b: %b\r\n" % line for line in made if line[1]]), version)


def renamed(body: bytes, lines: bytes, model: str, *, stream: bool | None) -> Request:
    """Return a request of Foundry's format, which is the Messages API's but for what the model is called."""
    del stream
    return Request(body if model_of(body) == model else model_scan.renamed(body, model), lines)


def _taken_apart(body: bytes, without: frozenset[str]) -> tuple[dict[str, list[str]], list[bytes]]:
    """Return the texts that the members about the format have, by name; and the other members as they stand there."""
    own: dict[str, list[str]] = {name: [] for name in _OF_FORMAT}
    others = []
    for one in members(body):
        if one.name not in without:
            others.append(body[one.start : one.end])
        elif one.name in own:
            value = json.loads(one.value)
            values = value if isinstance(value, list) else [value]
            own[one.name] += [text for text in values if isinstance(text, str)]
    return own, others


def _header(text: str) -> bytes:
    """Return a text of the body as the value of a header.

    Raises:
        Refusal: 400, it could not be one.
    """
    if not (text.isascii() and text.isprintable()):
        raise Refusal(400, "anthropic_beta, anthropic_version and user_profile_id are printable ASCII. Correct them.")
    return text.strip().encode("ascii")


def _split(lines: bytes) -> tuple[bytes, dict[bytes, list[bytes]]]:
    """Return the header lines that stay as they are, and the values of the others by name."""
    kept, passed = [], {name: list[bytes]() for name in _DROPPED}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        if name in passed:
            passed[name].append(value)
        else:
            kept.append(line + b"\r\n")
    return b"".join(kept), passed
