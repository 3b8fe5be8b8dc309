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

from keystead.server.authorization import device_codes, grants, introspection, keys, metadata, operations
from keystead.server.authorization.checks import attempts, client_authentication
from keystead.server.authorization.models import Client, Grant
from keystead.server.authorization.parameters import MAX_BYTES, Parameters, parse_body, required
from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.server.authorization.surroundings import issuer, now, server
from keystead.server.authorization.views import address_of, label_of
from keystead.server.transactions import whole
from keystead.wire import ids, oauth
from keystead.wire.oauth import OAuthFault, UserInfo


@dataclass(frozen=True, slots=True)
class Call:
    """A request to one of the endpoints, its parameters read and its client authenticated.

    Attributes:
        client: who asks; None only where the request names none.
    """

    request: HttpRequest
    parameters: Parameters
    client: Client | None
    now: datetime


Answer = Callable[[Call], bytes]


def posted(answer: Answer) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view for an endpoint that takes parameters in the body: all read, authenticate and refuse alike.

    No browser's cookie counts here, so neither does Django's token against forged forms.
    """

    def view(request: HttpRequest) -> HttpResponse:
        try:
            return _json(answer(_call(request)))
        except Refusal as refusal:
            return _refused(refusal)

    view.__doc__ = answer.__doc__
    return csrf_exempt(view)


def _call(request: HttpRequest) -> Call:
    parameters, moment = _parameters(request), now()
    client = client_authentication.client_of(parameters, request.headers.get("Authorization"), moment)
    return Call(request, parameters, client, moment)


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


def _json(body: bytes, status: int = 200) -> HttpResponse:
    """Return a JSON answer that nobody may keep (RFC 6749 section 5.1)."""
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return HttpResponse(body, content_type="application/json", status=status, headers=headers)


def _refused(refusal: Refusal) -> HttpResponse:
    response = _json(oauth.dump_fault(OAuthFault(refusal.error, refusal.description)), refusal.status)
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
    return oauth.dump_token(whole(lambda: grants.exchange(call.parameters, call.client, label, call.now)))


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
def jwks(_request: HttpRequest) -> JsonResponse:
    """Answer with the keys that verify access tokens (RFC 7517)."""
    moment = now()
    keys.signing_key(moment)  # an installation that never signed has its first key from here on
    return _public(keys.jwks(moment))


def _public(content: dict[str, Any]) -> JsonResponse:
    return JsonResponse(content, headers={"Cache-Control": "public, max-age=300"})


@csrf_exempt
def userinfo(request: HttpRequest) -> HttpResponse:
    """Say whose access token it is, who pays, and what stands behind the gateway (OpenID Connect Core 5.3)."""
    if request.method not in {"GET", "HEAD", "POST"}:
        return _refused(invalid_request("This endpoint takes GET and POST only.", 405))
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not bearer:
        return _challenge('Bearer realm="keystead"', None)
    grant = operations.grant_of_access_token(bearer.strip(), now())
    if grant is None:
        fault = OAuthFault("invalid_token", "The access token is unknown, expired, or its sign-in has ended.")
        return _challenge(f'Bearer realm="keystead", error="{fault.error}"', fault)
    return _json(oauth.dump_userinfo(_facts(grant)))


def _challenge(value: str, fault: OAuthFault | None) -> HttpResponse:
    """Return 401 as RFC 6750 section 3 has it: an error code only when a token was sent."""
    response = _json(json.dumps({}).encode() if fault is None else oauth.dump_fault(fault), 401)
    response["WWW-Authenticate"] = value
    return response


def _facts(grant: Grant) -> UserInfo:
    person = None if grant.membership is None else grant.membership.person
    named = person if person is not None else grant.service_account
    return UserInfo(
        sub=grant.subject_id,
        email=None if person is None else person.email,
        name=(named.name if named is not None else None) or None,
        organization_id=ids.dump("organization", grant.organization_id),
        organization_name=grant.organization.name,
        billing_class="gateway",
        upstream="anthropic" if server().upstream_api_key is not None else "test",
    )
