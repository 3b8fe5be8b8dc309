"""The endpoints of programs that register themselves: RFC 7591 section 3, RFC 7592 section 2."""

import json
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from keystead.server.authorization import registration, registration_tokens
from keystead.server.authorization.checks import attempts
from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.server.authorization.surroundings import now, server
from keystead.server.authorization.views import address_of, posted
from keystead.server.authorization.views.posted import Reply
from keystead.server.transactions import whole

_NOT_KEPT: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@csrf_exempt
def register(request: HttpRequest) -> HttpResponse:
    """Register the program that asks, if it shows an initial access token."""
    return posted.response(_answered(_register, request))


@csrf_exempt
def registered(request: HttpRequest, client_id: str) -> HttpResponse:
    """Show a client its own registration, or end it."""
    return posted.response(_answered(lambda asked: _manage(asked, client_id), request))


def _answered(answer: Callable[[HttpRequest], Reply], request: HttpRequest) -> Reply:
    try:
        if not server().dynamic_registration:
            raise invalid_request("Programs cannot register themselves at this server.", 404)
        return answer(request)
    except Refusal as refusal:
        return posted.refused(refusal)


def _count(request: HttpRequest) -> None:
    """Take one of the tries away that an address has.

    Raises:
        Refusal: ``slow_down``, when none was left.
    """
    address = address_of(request)
    if attempts.used_up(attempts.REGISTRATIONS_PER_ADDRESS, address):
        raise Refusal("slow_down", "Too many requests from this address. Try again in a few minutes.", 429)
    attempts.count(attempts.REGISTRATIONS_PER_ADDRESS, address)


def _register(request: HttpRequest) -> Reply:
    asked, moment = posted.read(request), now()
    _count(request)
    token = registration_tokens.presented(asked.authorization, moment)
    answer = whole(lambda: registration.register(asked.content_type, asked.body, token, moment))
    return posted.json_reply(json.dumps(answer).encode(), 201)


def _manage(request: HttpRequest, client_id: str) -> Reply:
    if request.method not in {"GET", "HEAD", "DELETE"}:
        description = "A client may read its registration here and end it (GET, DELETE)."
        raise Refusal("invalid_request", description, 405, {"Allow": "GET, HEAD, DELETE"})
    _count(request)
    authorization = request.headers.get("Authorization")
    if request.method == "DELETE":
        whole(lambda: registration.delete(client_id, authorization, now()))
        return Reply(204, _NOT_KEPT, b"")
    return posted.json_reply(json.dumps(registration.read(client_id, authorization)).encode())
