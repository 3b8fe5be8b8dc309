"""The authorization endpoint (RFC 6749 section 3.1): a client sends a person here to be asked."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from keystead.server.authorization import authorization_requests
from keystead.server.authorization.authorization_requests import DENIED, AuthorizationRequest
from keystead.server.authorization.parameters import parse_query
from keystead.server.authorization.refusals import Refusal
from keystead.server.authorization.surroundings import now
from keystead.server.authorization.views.pages import Message, acting, message, own_page_only, show, wishes
from keystead.server.organizations.models import Membership

CONSENT_POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
"""Without ``form-action``: browsers apply it to the redirect after the form too, and it cannot name ``[::1]``."""


def _found(address: str) -> HttpResponse:
    """Return a redirect to an address that was checked against the client's registration.

    303, so that no browser sends the consent form on to the client (RFC 9700 section 4.12).
    """
    return HttpResponse(status=303, headers={"Location": address})


@require_http_methods(["GET", "HEAD", "POST"])
def authorize(request: HttpRequest) -> HttpResponse:
    """Check the request, ask the person, and send the answer to the client."""
    try:
        parameters = parse_query(request.META.get("QUERY_STRING", ""))
        destination = authorization_requests.destination(parameters)
    except Refusal as refusal:
        text = f"{refusal.description} The program that opened this page made a mistake; nothing was signed in."
        return message(request, Message(refusal.status, "This sign-in cannot be done", text))
    try:
        asked = authorization_requests.read(parameters, destination)
    except Refusal as refusal:
        return _found(destination.with_refusal(refusal))
    response = _asked(request, asked)
    response["Content-Security-Policy"] = CONSENT_POLICY
    return response


@login_required
def _asked(request: HttpRequest, asked: AuthorizationRequest) -> HttpResponse:
    who = acting(request)
    if isinstance(who, HttpResponse):
        return who
    if request.method == "POST":
        return _answered(request, asked, who.membership)
    content = {
        "client": asked.destination.client,
        "membership": who.membership,
        "wishes": wishes(asked.scope, who.membership),
        "redirect_uri": asked.destination.redirect_uri,
    }
    return show(request, "consent", content)


@own_page_only
def _answered(request: HttpRequest, asked: AuthorizationRequest, member: Membership) -> HttpResponse:
    if request.POST.get("decision") != "approve":
        return _found(asked.destination.with_refusal(DENIED))
    return _found(authorization_requests.approve(asked, member, now()))
