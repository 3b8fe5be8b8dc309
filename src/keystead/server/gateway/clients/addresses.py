"""What the addresses of the clouds say. Pure, and strict: what two servers could read differently is refused.

A path is matched as it was sent. Of what is percent-encoded in it, only one layer is taken off, and what comes out must
be a name that the cloud could have given: no dot segments, no second encoding, and a slash only inside an ARN, which
is where a client has to encode it.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from keystead.server.gateway.refusals import Refusal

_WRITTEN: Final = re.compile(r"(?:[A-Za-z0-9._~:@;\[\]-]|%[0-9A-Fa-f]{2}){1,600}")
"""A segment as it may stand in a path."""
_NAME: Final = re.compile(r"[A-Za-z0-9](?:\.?[A-Za-z0-9_:@\[\]-])*")
"""A model's name: no dot follows a dot, and none is first or last."""
_ARN: Final = re.compile(
    rf"arn:aws[a-z-]*:(?:bedrock|sagemaker):[a-z0-9-]*:[0-9]*:[a-z-]+(?:/{_NAME.pattern})+", re.ASCII
)
"""The name that Amazon gives a resource of an account, such as an inference profile."""
_LONGEST_NAME: Final = 256
_PLACE: Final = re.compile(r"[A-Za-z0-9](?:\.?[A-Za-z0-9_:-])*")
"""A project or a location."""
_BEDROCK: Final = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens)")
_VERTEX: Final = re.compile(
    r"(?:/v1)?/projects/([^/]+)/locations/([^/]+)/publishers/anthropic/models/([^/]+):(rawPredict|streamRawPredict)"
)
_COUNTER: Final = "count-tokens"
"""What Amazon does with a model to count tokens; with Google it is a model, and theirs is in the body."""
_MESSAGES: Final = b"/v1/messages"
_COUNT: Final = b"/v1/messages/count_tokens"


class Address(NamedTuple):
    """What an address says.

    Attributes:
        target: the address of the gateway that takes the same request in Messages form.
        metered: whether an answer there is paid for by the token.
        model: the cloud's name for it, or empty when the body says it.
        stream: whether the answer is streamed; None when the body says it.
    """

    target: bytes
    metered: bool = True
    model: str = ""
    stream: bool | None = None


def of_bedrock(path: str, _query: bytes) -> Address:
    """Return what ``/model/{id}/invoke``, ``…/invoke-with-response-stream`` and ``…/count-tokens`` say.

    Raises:
        Refusal: 404, it is another address; 400, the model's name is none.
    """
    found = _BEDROCK.fullmatch(path)
    if found is None:
        raise _unknown(
            "POST /model/{id}/invoke, /model/{id}/invoke-with-response-stream and /model/{id}/count-tokens, each id "
            "percent-encoded"
        )
    if found[2] == _COUNTER:
        return Address(_COUNT, metered=False, model=_model(found[1]), stream=False)
    return Address(_MESSAGES, model=_model(found[1]), stream=found[2] != "invoke")


def of_vertex(path: str, _query: bytes) -> Address:
    """Return what ``…/publishers/anthropic/models/{model}:rawPredict`` and ``:streamRawPredict`` say.

    Raises:
        Refusal: 404, it is another address; 400, a part of it is not what it should be.
    """
    found = _VERTEX.fullmatch(path)
    if found is None:
        raise _unknown(
            "POST /projects/{project}/locations/{location}/publishers/anthropic/models/{model}, with :rawPredict or "
            ":streamRawPredict behind it, and the same below /v1"
        )
    for name, written in (("project", found[1]), ("location", found[2])):
        decoded = _decoded(written)
        if decoded is None or _PLACE.fullmatch(decoded) is None:
            raise Refusal(400, f"The {name} in the path is not the name of one. Correct it.")
    model, stream = _model(found[3]), found[4] != "rawPredict"
    if model != _COUNTER:
        return Address(_MESSAGES, model=model, stream=stream)
    if stream:
        raise Refusal(400, "Tokens are counted by count-tokens:rawPredict; there is no stream of it.")
    return Address(_COUNT, metered=False, stream=False)


def of_foundry(path: str, query: bytes) -> Address:
    """Return what ``/anthropic/v1/messages`` and ``/anthropic/v1/messages/count_tokens`` say.

    Raises:
        Refusal: 404, it is another address.
    """
    target = path.removeprefix("/anthropic").encode("ascii")
    if target not in (_MESSAGES, _COUNT):
        raise _unknown("POST /anthropic/v1/messages and /anthropic/v1/messages/count_tokens")
    return Address(b"%b?%b" % (target, query) if query else target, metered=target == _MESSAGES)


def _unknown(known: str) -> Refusal:
    return Refusal(404, f"The gateway does not know this address. In this format it has {known}.")


def _decoded(written: str) -> str | None:
    """Return a segment without its percent-encoding, or None when it is not of a form that may stand in a path."""
    return unquote(written, "latin-1") if _WRITTEN.fullmatch(written) is not None else None


def _model(written: str) -> str:
    """Return a model's name without its percent-encoding.

    Raises:
        Refusal: 400, no model is called so.
    """
    model = _decoded(written)
    if model is None or len(model) > _LONGEST_NAME or not (_NAME.fullmatch(model) or _ARN.fullmatch(model)):
        raise Refusal(
            400,
            "The model in the path is not the name of one. Send its id or its ARN, percent-encoded once.",
        )
    return model
