"""The way back from a SAML identity provider.

Its answer comes as a form that another site posts, and a browser sends no cookie of ours with that. So the answer is
verified and kept for a moment, and the browser is sent on to an address of ours; with that request the cookie comes,
and shows whether it is the browser the sign-in was begun in.
"""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from keystead.server.console.access import now
from keystead.server.console.single_sign_on import FAULTS, claim, finish, refuse
from keystead.server.sso import attempts, connections, replays, saml
from keystead.server.sso.asserted import Asserted
from keystead.server.sso.faults import SignInFault
from keystead.server.sso.models import Attempt, Connection, Kind
from keystead.server.sso.saml import Arrived, Here
from keystead.server.sso.saml_settings import SamlSettings


def _found(connection_id: str) -> Connection:
    connection = connections.any_one(connection_id)
    if connection is None or connection.kind != Kind.SAML:
        raise Http404
    return connection


@require_safe
def metadata(request: HttpRequest, connection_id: str) -> HttpResponse:  # noqa: ARG001
    """Give what the identity provider is told about this server."""
    here = Here.of(settings.KEYSTEAD.base_url, _found(connection_id).wire_id)
    return HttpResponse(here.metadata(), content_type="application/samlmetadata+xml")


@csrf_exempt
@require_POST
def acs(request: HttpRequest, connection_id: str) -> HttpResponseBase:
    """Take a response (SAML Bindings 3.5); the browser brings it from another site, so no cookie counts here."""
    connection = _found(connection_id)
    chosen = SamlSettings.from_json(connection.settings)
    here = Here.of(settings.KEYSTEAD.base_url, connection.wire_id)
    try:
        arrived = saml.read(request.POST.get("SAMLResponse", ""), here, chosen, now())
        replays.take(connection, arrived.assertion_id, arrived.ends, now())
        attempt = _attempt(connection, chosen, arrived, request.POST.get("RelayState", ""))
    except FAULTS as error:
        return refuse(request, connection, error)
    return HttpResponse(status=303, headers={"Location": reverse("saml_arrived", args=[bytes(attempt.digest).hex()])})


def _attempt(connection: Connection, chosen: SamlSettings, arrived: Arrived, relay_state: str) -> Attempt:
    """Return the attempt that the response belongs to; an unasked one begins here, where that is allowed.

    The relay state counts only for an unasked response: it is nobody's word, and may only name a page of ours.
    """
    said = arrived.said.to_json()
    if arrived.in_response_to is not None:
        attempt = attempts.of_request_id(connection, arrived.in_response_to)
        attempts.arrive(attempt, said, now())
        return attempt
    if not chosen.takes_unasked:
        raise SignInFault(
            "unasked",
            "Sign-ins that begin at the identity provider are switched off.",
            hint="Start at the sign-in page.",
        )
    return attempts.begin_elsewhere(connection, said, relay_state, now())


@require_http_methods(["GET", "HEAD", "POST"])
def arrived(request: HttpRequest, ticket: str) -> HttpResponseBase:
    """Finish in the browser the sign-in was begun in, or ask first when the identity provider began."""
    try:
        attempt = attempts.of_ticket(ticket)
    except SignInFault as error:
        raise Http404 from error
    if attempt.arrived is None:
        raise Http404
    is_unasked = not bytes(attempt.browser)
    if is_unasked and request.method != "POST":
        page = {"email": attempt.arrived["email"], "connection": attempt.connection}
        return render(request, "console/sso_confirm.html", page)
    try:
        claim(request, attempt, is_unasked=is_unasked)
    except FAULTS as error:
        return refuse(request, attempt.connection, error)
    return finish(request, attempt, Asserted.from_json(attempt.arrived))
