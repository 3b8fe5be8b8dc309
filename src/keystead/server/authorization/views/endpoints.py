"""The endpoints that programs call. Every answer is JSON and may not be kept; every fault is a protocol error."""

import json
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from keystead.server.authorization import (
    authorization_requests,
    device_codes,
    grants,
    introspection,
    keys,
    metadata,
    operations,
    pushed_requests,
)
from keystead.server.authorization.checks import attempts
from keystead.server.authorization.clients import find
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.parameters import required
from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.server.authorization.surroundings import issuer, now, server
from keystead.server.authorization.views.posted import Call, Endpoint, posted
from keystead.server.transactions import whole
from keystead.wire import oauth


@posted
def token(call: Call) -> bytes:
    """Exchange a code or a refresh token (RFC 6749 section 3.2)."""
    question = Question(call.parameters, call.client, call.label, call.now, at_once=call.at_once, key=call.key)
    return oauth.dump_token(whole(lambda: grants.exchange(question)))


@posted
def device_authorization(call: Call) -> bytes:
    """Give a device its pair of codes (RFC 8628 section 3.1)."""
    address = call.asked.address
    if attempts.used_up(attempts.CODES_PER_ADDRESS, address):
        raise Refusal("slow_down", "Too many requests from this address. Try again in a few minutes.", 429)
    attempts.count(attempts.CODES_PER_ADDRESS, address)
    return oauth.dump_device_authorization(device_codes.start(call.parameters, call.client, call.label, call.now))


def _push(call: Call) -> bytes:
    """Keep an authorization request that the client hands in itself (RFC 9126)."""
    client = call.client or find(required(call.parameters, "client_id"))
    if "request_uri" in call.parameters:
        raise invalid_request("A request_uri cannot be pushed.")
    given = {**call.parameters, "client_id": client.client_id}
    if call.key and given.setdefault("dpop_jkt", call.key) != call.key:
        raise invalid_request("The dpop_jkt is not the key that signed the request.")
    authorization_requests.read(given, authorization_requests.destination(given))
    return json.dumps(pushed_requests.push(given, client, call.now)).encode()


par = Endpoint(_push, 201)


@posted
def revoke(call: Call) -> bytes:
    """End a sign-in (RFC 7009); also for a token that is unknown or long dead, the answer is 200."""
    operations.revoke_token(required(call.parameters, "token"), call.client, call.now)
    return b"{}"


@posted
def introspect(call: Call) -> bytes:
    """Say what a token means now (RFC 7662)."""
    return json.dumps(introspection.introspect(required(call.parameters, "token"), call.client, call.now)).encode()


@require_safe
def document(_request: HttpRequest) -> JsonResponse:
    """Answer with the metadata (RFC 8414)."""
    return _public(metadata.document(issuer(), registration=server().dynamic_registration))


@require_safe
def resource(_request: HttpRequest) -> JsonResponse:
    """Answer with the metadata of the gateway as a protected resource (RFC 9728)."""
    return _public(metadata.resource(issuer()))


@require_safe
def jwks(_request: HttpRequest) -> JsonResponse:
    """Answer with the keys that verify access tokens (RFC 7517)."""
    moment = now()
    keys.signing_key(moment)  # an installation that never signed has its first key from here on
    return _public(keys.jwks(moment))


def _public(content: dict[str, Any]) -> JsonResponse:
    return JsonResponse(content, headers={"Cache-Control": "public, max-age=300"})
