"""What the endpoints with parameters in the body have in common: all read, authenticate and refuse alike.

They know nothing of who carries their requests: :func:`posted` makes of each a view of Django's, and the server's
direct way (:mod:`keystead.server.site.direct`) calls :meth:`Endpoint.reply` without it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError

from keystead.server.authorization.checks import binding, client_authentication
from keystead.server.authorization.grants import MAY_WAIT
from keystead.server.authorization.models import Client
from keystead.server.authorization.parameters import MAX_BYTES, Parameters, parse_body
from keystead.server.authorization.refusals import MustWait, Refusal, invalid_request
from keystead.server.authorization.surroundings import now
from keystead.server.authorization.views import address_of, label
from keystead.server.dpop import Expected
from keystead.wire import oauth
from keystead.wire.oauth import OAuthFault

_NOT_KEPT: Final = {"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"}
"""RFC 6749 section 5.1: JSON that nobody may keep."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came.

    Attributes:
        authorization: the header of that name, or None.
        proof: the header ``DPoP``, or None.
        agent: the header ``User-Agent``, or empty.
        address: where it came from, for counting attempts.
    """

    path: str
    content_type: str
    authorization: str | None
    proof: str | None
    agent: str
    address: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: ``body`` is JSON."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A request to one of the endpoints, its parameters read and its client authenticated.

    Attributes:
        client: who asks; None only where the request names none.
        key: thumbprint of the key that signed the request (RFC 9449), or empty.
        at_once: it is answered among others in one transaction, so it may not wait for anybody.
    """

    asked: Asked
    parameters: Parameters
    client: Client | None
    now: datetime
    key: str = ""
    at_once: bool = False

    @property
    def label(self) -> str:
        """What the device says it is."""
        return label(self.asked.agent)


Answer = Callable[[Call], bytes]


class Endpoint:
    """One endpoint; called with a request of Django's it is a view.

    No browser's cookie counts here, so neither does Django's token against forged forms.

    Args:
        answer: what it says to a request that is in order.
        status: of that answer.
    """

    csrf_exempt: Final = True

    def __init__(self, answer: Answer, status: int = 200) -> None:
        self._answer = answer
        self._status = status
        self.__doc__ = answer.__doc__

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as a view."""
        try:
            asked = read(request)
        except Refusal as refusal:
            reply = _with_nonce(request.headers.get(binding.HEADER), refused(refusal))
        else:
            reply = self.reply(asked)
        return response(reply)

    def reply(self, asked: Asked, *, at_once: bool = False) -> Reply:
        """Answer; a client that signs its requests (DPoP) finds in every answer what to sign next.

        Args:
            asked: the request.
            at_once: whether others wait for the answer.

        Raises:
            MustWait: it was to be answered at once and cannot be; nothing has been written.
        """
        try:
            reply = Reply(self._status, _NOT_KEPT, self._answer(_call(asked, at_once)))
        except Refusal as refusal:
            reply = refused(refusal)
        return _with_nonce(asked.proof, reply)


def posted(answer: Answer) -> Endpoint:
    """Return the endpoint that answers so, with status 200."""
    return Endpoint(answer)


def _call(asked: Asked, at_once: bool) -> Call:
    parameters, moment = parse_body(asked.content_type, asked.body), now()
    if at_once and _may_wait(asked, parameters):
        raise MustWait
    client = client_authentication.client_of(parameters, asked.authorization, moment)
    key = binding.proven_key(asked.proof, Expected("POST", asked.path), moment)
    return Call(asked, parameters, client, moment, key, at_once)


def _may_wait(asked: Asked, parameters: Parameters) -> bool:
    """Return whether the answer may need another server, or writes before it begins the transaction of its grant."""
    signed = asked.proof is not None or "client_assertion" in parameters
    return signed or parameters.get("grant_type") in MAY_WAIT


def read(request: HttpRequest) -> Asked:
    """Return a request as it came, its body read.

    Raises:
        Refusal: ``invalid_request``: not a POST (405), too large (413), or cut off.
    """
    if request.method != "POST":
        raise invalid_request("This endpoint takes POST only.", 405)
    try:
        body = request.read(MAX_BYTES + 1)
    except UnreadablePostError as error:
        raise invalid_request("The request ended too early.") from error
    if len(body) > MAX_BYTES:
        raise invalid_request("The request is too large.", 413)
    return Asked(
        path=request.path,
        content_type=request.META.get("CONTENT_TYPE", ""),
        authorization=request.headers.get("Authorization"),
        proof=request.headers.get(binding.HEADER),
        agent=request.headers.get("User-Agent", ""),
        address=address_of(request),
        body=body,
    )


def _with_nonce(proof: str | None, reply: Reply) -> Reply:
    if proof is None:
        return reply
    return Reply(reply.status, {**binding.nonce_header(now()), **reply.headers}, reply.body)


def json_reply(body: bytes, status: int = 200) -> Reply:
    """Return a JSON answer that nobody may keep."""
    return Reply(status, _NOT_KEPT, body)


def refused(refusal: Refusal) -> Reply:
    """Return the error response of RFC 6749 section 5.2, with the headers that go with it."""
    more = {405: {"Allow": "POST"}, 429: {"Retry-After": "60"}}.get(refusal.status, {})
    body = oauth.dump_fault(OAuthFault(refusal.error, refusal.description))
    return Reply(refusal.status, {**_NOT_KEPT, **more, **refusal.headers}, body)


def response(reply: Reply) -> HttpResponse:
    """Return the answer as Django takes it."""
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))
