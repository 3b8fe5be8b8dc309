"""The endpoints that programs call. Every answer is JSON and may not be kept; every fault is a protocol error."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
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
from keystead.server.authorization.checks import attempts, binding, client_authentication
from keystead.server.authorization.clients import find
from keystead.server.authorization.models import Client
from keystead.server.authorization.parameters import MAX_BYTES, Parameters, parse_body, required
from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.server.authorization.surroundings import issuer, now
from keystead.server.authorization.views import address_of, label_of
from keystead.server.dpop import Expected
from keystead.server.transactions import whole
from keystead.wire import oauth
from keystead.wire.oauth import OAuthFault


@dataclass(frozen=True, slots=True)
class Call:
    """A request to one of the endpoints, its parameters read and its client authenticated.

    Attributes:
        client: who asks; None only where the request names none.
        key: thumbprint of the key that signed the request (RFC 9449), or empty.
    """

    request: HttpRequest
    parameters: Parameters
    client: Client | None
    now: datetime
    key: str = ""


Answer = Callable[[Call], bytes]


def posted(answer: Answer, status: int = 200) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view for an endpoint that takes parameters in the body: all read, authenticate and refuse alike.

    No browser's cookie counts here, so neither does Django's token against forged forms. A client that signs its
    requests (DPoP) finds in every answer what to sign next.
    """

    def view(request: HttpRequest) -> HttpResponse:
        try:
            response = json_answer(answer(_call(request)), status)
        except Refusal as refusal:
            response = refused(refusal)
        if binding.HEADER in request.headers:
            for name, value in binding.nonce_header(now()).items():
                response.headers.setdefault(name, value)
        return response

    view.__doc__ = answer.__doc__
    return csrf_exempt(view)


def _call(request: HttpRequest) -> Call:
    parameters, moment = _parameters(request), now()
    client = client_authentication.client_of(parameters, request.headers.get("Authorization"), moment)
    proof = request.headers.get(binding.HEADER)
    key = binding.proven_key(proof, Expected("POST", request.path), moment)
    return Call(request, parameters, client, moment, key)


def _parameters(request: HttpRequest) -> Parameters:
    if request.method != "POST":
        raise invalid_request("This endpoint takes POST only.", 405)
    try:
        body = request.read(MAX_BYTES + 1)
    except UnreadablePostError as error:
        raise invalid_request("The request ended too early.") from error
    if len(body) > MAX_BYTES:
        raise invalid_request("The request is too large.", 413)
    return parse_body(request.META.get("CONTENT_TYPE", ""), body)


def json_answer(body: bytes, status: int = 200) -> HttpResponse:
    """Return a JSON answer that nobody may keep (RFC 6749 section 5.1)."""
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return HttpResponse(body, content_type="application/json", status=status, headers=headers)


def refused(refusal: Refusal) -> HttpResponse:
    """Return the error response of RFC 6749 section 5.2, with the headers that go with it."""
    response = json_answer(oauth.dump_fault(OAuthFault(refusal.error, refusal.description)), refusal.status)
    for name, value in refusal.headers.items():
        response[name] = value
    if refusal.status == 405:
        response["Allow"] = "POST"
    if refusal.status == 429:
        response["Retry-After"] = "60"
    return response


@posted
def token(call: Call) -> bytes:
    """Exchange a code or a refresh token (RFC 6749 section 3.2)."""
    label = label_of(call.request)
    return oauth.dump_token(whole(lambda: grants.exchange(call.parameters, call.client, label, call.now, call.key)))


@posted
def device_authorization(call: Call) -> bytes:
    """Give a device its pair of codes (RFC 8628 section 3.1)."""
    address = address_of(call.request)
    if attempts.used_up(attempts.CODES_PER_ADDRESS, address):
        raise Refusal("slow_down", "Too many requests from this address. Try again in a few minutes.", 429)
    attempts.count(attempts.CODES_PER_ADDRESS, address)
    return oauth.dump_device_authorization(
        device_codes.start(call.parameters, call.client, label_of(call.request), call.now)
    )


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


par = posted(_push, 201)


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
    return _public(metadata.document(issuer()))


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
