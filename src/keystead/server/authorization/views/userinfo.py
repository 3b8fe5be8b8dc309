"""The userinfo endpoint (OpenID Connect Core section 5.3): an OAuth resource like the gateway, by bearer or DPoP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from keystead.server.assertions import ALGORITHMS
from keystead.server.authorization import operations
from keystead.server.authorization.access_tokens import Claims
from keystead.server.authorization.checks import binding
from keystead.server.authorization.models import Grant
from keystead.server.authorization.refusals import UNAUTHORIZED, Refusal
from keystead.server.authorization.surroundings import issuer, now, server
from keystead.server.authorization.views.posted import json_reply, refused, response
from keystead.server.dpop import Expected
from keystead.wire import ids, oauth
from keystead.wire.oauth import PROTECTED_RESOURCE_PATH, OAuthFault, UserInfo

_SCHEMES: Final = ("bearer", "dpop")


@csrf_exempt
def userinfo(request: HttpRequest) -> HttpResponse:
    """Say whose access token it is, who pays, and what stands behind the gateway."""
    if request.method not in {"GET", "HEAD", "POST"}:
        allowed = {"Allow": "GET, HEAD, POST"}
        return response(refused(Refusal("invalid_request", "This endpoint takes GET and POST only.", 405, allowed)))
    moment = now()
    try:
        grant, claims = _presented(request, moment)
    except Refusal as refusal:
        answer = _challenge(refusal)
    else:
        answer = response(json_reply(oauth.dump_userinfo(_facts(grant, claims))))
    if binding.HEADER in request.headers:
        for name, value in binding.nonce_header(moment).items():
            answer[name] = value
    return answer


def _presented(request: HttpRequest, moment: datetime) -> tuple[Grant, Claims]:
    """Return the live sign-in behind the request's token, and what the token says.

    Raises:
        Refusal: there is none, or whoever sends it has not its key.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() not in _SCHEMES or not token:
        raise Refusal("", "", UNAUTHORIZED)
    found = operations.grant_of_access_token(token, moment)
    if found is None:
        raise _invalid("The access token is unknown, expired, or its sign-in has ended.")
    bound = found[1].key_thumbprint
    if bool(bound) != (scheme.lower() == "dpop"):
        raise _invalid("The access token is bound to a key: send it as DPoP, and only such a token.")
    if bound:
        expected = Expected(request.method or "", request.path, token)
        if binding.proven_key(request.headers.get(binding.HEADER), expected, moment) != bound:
            raise _invalid("The request is not signed with the key that the access token is bound to.")
    return found


def _invalid(description: str) -> Refusal:
    return Refusal("invalid_token", description, UNAUTHORIZED)


def _challenge(refusal: Refusal) -> HttpResponse:
    """Return 401 as RFC 6750 section 3 and RFC 9449 section 7.1 have it: an error code only when a token was sent."""
    fault = OAuthFault(refusal.error, refusal.description)
    answer = response(json_reply(oauth.dump_fault(fault) if refusal.error else b"{}", UNAUTHORIZED))
    error = {"error": refusal.error} if refusal.error else {}
    about = {"resource_metadata": issuer() + PROTECTED_RESOURCE_PATH}
    bearer = error if refusal.error == "invalid_token" else {}
    signed = {**error, "algs": " ".join(ALGORITHMS)}
    answer["WWW-Authenticate"] = f"{_scheme('Bearer', bearer | about)}, {_scheme('DPoP', signed | about)}"
    return answer


def _scheme(name: str, parameters: Mapping[str, str]) -> str:
    listed = {"realm": "keystead", **parameters}
    return f"{name} " + ", ".join(f'{key}="{value}"' for key, value in listed.items())


def _facts(grant: Grant, claims: Claims) -> UserInfo:
    """Return what the token's scope lets its client know; a first-party client also learns who pays, and all of it."""
    scope = set(claims.scope.split())
    person = None if grant.membership is None else grant.membership.person
    named = person if person is not None else grant.service_account
    ours = grant.client.first_party or person is None
    name = named.name if named is not None and (ours or "profile" in scope) else None
    shown = UserInfo(
        sub=grant.subject_id,
        email=person.email if person is not None and (ours or "email" in scope) else None,
        name=name or None,
    )
    if not ours:
        return shown
    return UserInfo(
        sub=shown.sub,
        email=shown.email,
        name=shown.name,
        organization_id=ids.dump("organization", grant.organization_id),
        organization_name=grant.organization.name,
        billing_class="gateway",
        upstream="anthropic" if server().upstream_api_key is not None else "test",
    )
