"""The client registration endpoint (RFC 7591 section 3)."""

import json

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from keystead.server.authorization import registration, registration_tokens
from keystead.server.authorization.checks import attempts
from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.server.authorization.surroundings import now, server
from keystead.server.authorization.views import posted
from keystead.server.authorization.views.posted import Asked
from keystead.server.transactions import whole


@csrf_exempt
def register(request: HttpRequest) -> HttpResponse:
    """Register the program that asks, if it shows an initial access token."""
    try:
        if not server().dynamic_registration:
            raise invalid_request("Programs cannot register themselves at this server.", 404)
        reply = posted.json_reply(_registered(posted.read(request)), 201)
    except Refusal as refusal:
        reply = posted.refused(refusal)
    return posted.response(reply)


def _registered(asked: Asked) -> bytes:
    if attempts.used_up(attempts.REGISTRATIONS_PER_ADDRESS, asked.address):
        raise Refusal("slow_down", "Too many requests from this address. Try again in a few minutes.", 429)
    attempts.count(attempts.REGISTRATIONS_PER_ADDRESS, asked.address)
    moment = now()
    token = registration_tokens.presented(asked.authorization, moment)
    answer = whole(lambda: registration.register(asked.content_type, asked.body, token, moment))
    return json.dumps(answer).encode()
