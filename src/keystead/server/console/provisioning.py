"""Setting SCIM up, by an organization's own administrator: where it answers, and the tokens."""

from secrets import token_bytes

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from keystead.errors import KeysteadError
from keystead.server.console.access import for_those_who, now
from keystead.server.organizations.models import Membership
from keystead.server.scim import tokens
from keystead.wire import ids

for_administrators = for_those_who(tokens.require)


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def overview(request: HttpRequest, member: Membership) -> HttpResponse:
    """Say where SCIM answers, list the tokens, and make one: the answer to that alone ever shows it."""
    secret, error = None, None
    if request.method == "POST":
        try:
            secret = tokens.make(member, now(), token_bytes)[1].reveal()
        except KeysteadError as refused:
            error = refused
    page = {
        "address": f"{settings.KEYSTEAD.base_url}/scim/v2/{ids.dump('organization', member.organization_id)}",
        "tokens": tokens.live(member.organization),
        "at_most": tokens.AT_MOST,
        "secret": secret,
        "error": error,
    }
    return render(request, "console/provisioning.html", page, status=422 if error else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def end(request: HttpRequest, member: Membership, token_id: str) -> HttpResponseBase:
    """Ask before ending a token, then end it."""
    token = tokens.find(member, token_id)
    if token is None:
        raise Http404
    if request.method == "POST":
        tokens.end(token, member, now())
        return redirect("provisioning")
    return render(request, "console/provisioning_end.html", {"token": token})
