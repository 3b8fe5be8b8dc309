"""Setting SCIM up, by an organization's own administrator: where it answers, and the tokens."""

from functools import wraps
from secrets import token_bytes
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from keystead.errors import KeysteadError
from keystead.server.console.access import for_members, now
from keystead.server.organizations.models import Membership
from keystead.server.scim import tokens
from keystead.wire import ids


def for_administrators(view: Any) -> Any:
    """Decorate a page that only those see who may set provisioning up; others are told what their role lacks."""

    @for_members
    @wraps(view)
    def guarded(request: HttpRequest, member: Membership, **kwargs: str) -> HttpResponseBase:
        try:
            tokens.require(member)
            answer: HttpResponseBase = view(request, member, **kwargs)
        except KeysteadError as error:
            return render(request, "console/provisioning.html", {"error": error}, status=403)
        return answer

    return guarded


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
