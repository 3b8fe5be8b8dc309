"""One small real request to an upstream, and what its answer means: the test button, and the proof at the start."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from keystead.server import outbound
from keystead.server.fixed_credential import NO_CREDENTIAL
from keystead.server.outbound import NotFetched, Reach
from keystead.server.upstream_shape import CredentialUnavailable, Kind, Unsigned, Upstream

_USUAL_MODEL: Final = "claude-haiku-4-5"
_VERSION: Final = (b"anthropic-version", b"2023-06-01")
_JSON: Final = (b"content-type", b"application/json")
_ELSEWHERE: Final = frozenset({404, 405, 501})
"""Not every upstream has every address: then the next one is tried."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it.

    Attributes:
        sentence: for the administrator: what happened, and what they do about it.
    """

    works: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Question:
    """One request that costs nothing.

    Attributes:
        path: below the base URL.
        body: empty for a GET.
        refused: whether what works answers 400, for an empty question is all that is free there.
    """

    path: str
    body: bytes = b""
    refused: bool = False

    @property
    def method(self) -> str:
        """GET, or POST where there is something to say."""
        return "POST" if self.body else "GET"


def ask(upstream: Upstream, within: Reach, model: str = "") -> Outcome:
    """Ask the upstream, through the same guard as its requests.

    Args:
        upstream: with its credential.
        within: what the operator has opened.
        model: where a model has to be named, a client's name of it; empty for the usual one.
    """
    try:
        for question in questions(upstream, model):
            answer = outbound.ask(
                question.method,
                upstream.base_url + question.path,
                lines(upstream, question),
                question.body,
                within,
                upstream.tls,
            )
            if answer.status not in _ELSEWHERE:
                break
    except NotFetched as error:
        return Outcome(works=False, sentence=str(error))
    except CredentialUnavailable as error:
        return Outcome(works=False, sentence=f"Its credential cannot be had: {error}")
    return verdict(answer.status, question)


def usual_model(models: Iterable[str], serves: Iterable[str]) -> str:
    """Return the model that is asked for: the first that an administrator named, or the one that every account has."""
    return next(iter((*models, *serves)), _USUAL_MODEL)


def questions(upstream: Upstream, model: str = "") -> list[Question]:
    """Return what is asked, one after the other until an address is there."""
    model = model or usual_model(upstream.models, upstream.serves)
    model = upstream.models.get(model) or upstream.known.get(model, model)
    messages = {"messages": [{"role": "user", "content": "."}]}
    counting = Question("/v1/messages/count_tokens", _body({"model": model, **messages}))
    listing = Question("/v1/models?limit=1")
    place = f"/projects/{upstream.project}/locations/{upstream.region}/publishers/anthropic/models"
    asked: Mapping[Kind, list[Question]] = {
        Kind.FOUNDRY: [counting],
        Kind.OPENAI: [Question("/v1/models")],
        Kind.VERTEX: [Question(f"{place}/count-tokens:rawPredict", _body({"model": model, **messages}))],
        Kind.BEDROCK: [
            Question(f"/model/{quote(model, safe='')}/invoke", _body({"messages": []}), refused=True),
        ],
    }
    return asked.get(upstream.kind, [listing, counting])


def _body(document: Mapping[str, object]) -> bytes:
    return json.dumps(document).encode()


def lines(upstream: Upstream, question: Question) -> bytes:
    """Return the header lines of the question, the credential's among them.

    Raises:
        CredentialUnavailable: there is none now.
    """
    own = [(name.encode("ascii"), value.encode("ascii")) for name, value in upstream.headers]
    common = [_VERSION] if upstream.kind is not Kind.OPENAI else []
    headers = (*common, *([_JSON] if question.body else []), *own)
    parts = urlsplit(upstream.base_url)
    target = f"{upstream.prefix}{question.path}".encode("ascii")
    unsigned = Unsigned(question.method.encode(), parts.netloc.encode("ascii"), target, headers, question.body)
    shown = (upstream.credential or NO_CREDENTIAL).lines(unsigned)
    return b"".join([b"%b: %b\r\n" % line for line in headers]) + shown


def verdict(status: int, question: Question) -> Outcome:
    """Return what a status means."""
    where = question.path.partition("?")[0]
    if status < 300:
        return Outcome(works=True, sentence=f"It answered {question.method} {where}.")
    if status == 400 and question.refused:
        said = "It took the credential. Whether it has the models shows with the first request."
        return Outcome(works=True, sentence=said)
    if status == 429:
        return Outcome(works=True, sentence="It took the credential, and is at its limit at the moment (429).")
    advice = {
        400: "It took the credential and refused the test (400): check region, project and the names for models.",
        401: "It refused the credential (401): enter another one.",
        403: "It refused the credential (403): give it the permission to use models, or enter another one.",
        404: f"It has no {where} (404): check the address and the names for models.",
    }.get(status)
    if advice is None and status < 400:
        advice = f"It sends elsewhere ({status}), which is never followed: enter the address where it really is."
    if advice is None and status >= 500:
        advice = f"It is in trouble itself ({status}): try again later, or ask whoever runs it."
    return Outcome(works=False, sentence=advice or f"It refused the test ({status}): check its address.")
