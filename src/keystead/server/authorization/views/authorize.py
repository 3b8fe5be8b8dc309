"""The authorization endpoint (RFC 6749 section 3.1, OpenID Connect Core section 3.1.2), where people are asked.

A form of this page carries no request of its own: it goes back to the address it was shown at, which is checked anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from django.contrib.auth import logout
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.views.decorators.http import require_http_methods

from keystead.server.authorization import authorization_requests, browser_session, consents, pushed_requests
from keystead.server.authorization.authorization_requests import DENIED, Approver, AuthorizationRequest
from keystead.server.authorization.checks import suspended
from keystead.server.authorization.parameters import parse_query
from keystead.server.authorization.refusals import Refusal
from keystead.server.authorization.surroundings import now
from keystead.server.authorization.views.pages import (
    Message,
    acting,
    lasting,
    message,
    own_page_only,
    show,
    suspended_client,
    wishes,
)
from keystead.server.organizations.models import Membership
from keystead.server.sso import connections
from keystead.server.sso.attempts import AFTER
from keystead.server.sso.sessions import CONNECTION
from keystead.server.terms import asking

CONSENT_POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
"""Without ``form-action``: browsers apply it to the redirect after the form too, and it cannot name ``[::1]``."""

_SALT: Final = "keystead.authorize.after"


def found(address: str) -> HttpResponse:
    """Return a redirect to an address that was checked against the client's registration.

    303, so that no browser sends the consent form on to the client (RFC 9700 section 4.12).
    """
    return HttpResponse(status=303, headers={"Location": address})


@require_http_methods(["GET", "HEAD", "POST"])
def authorize(request: HttpRequest) -> HttpResponse:
    """Check the request, ask the person, and send the answer to the client."""
    try:
        given, pushed = pushed_requests.resolve(parse_query(request.META.get("QUERY_STRING", "")), now())
        destination = authorization_requests.destination(given)
    except Refusal as refusal:
        return _hopeless(request, refusal)
    try:
        pushed_requests.require(destination.client, pushed)
        asked = authorization_requests.read(given, destination, pushed)
    except Refusal as refusal:
        return found(destination.with_refusal(refusal))
    try:
        response = _asked(request, asked)
    except Refusal as refusal:
        return _hopeless(request, refusal)
    response["Content-Security-Policy"] = CONSENT_POLICY
    return response


def _hopeless(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Return the page for a request whose answer may go nowhere."""
    text = f"{refusal.description} The program that opened this page made a mistake; nothing was signed in."
    return message(request, Message(refusal.status, "This sign-in cannot be done", text))


@dataclass(frozen=True, slots=True)
class Visit:
    """A request, and the signed-in person it came with."""

    request: HttpRequest
    asked: AuthorizationRequest
    by: Approver

    @property
    def member(self) -> Membership:
        """Who would agree."""
        return self.by.membership

    def refused(self, error: str, description: str) -> HttpResponse:
        """Tell the client why nobody can be asked (OpenID Connect Core section 3.1.2.6)."""
        return found(self.asked.destination.with_refusal(Refusal(error, description)))


def _asked(request: HttpRequest, asked: AuthorizationRequest) -> HttpResponse:
    silent = "none" in asked.prompt
    if not request.user.is_authenticated:
        if silent:
            return found(asked.destination.with_refusal(Refusal("login_required", "Nobody is signed in here.")))
        insists = "login" in asked.prompt or asked.max_age is not None
        return _to_sign_in(_marked(request) if insists else request.get_full_path(), asked.login_hint)
    who = acting(request)
    if isinstance(who, HttpResponse):
        return who
    visit = Visit(request, asked, Approver(who.membership, browser_session.authentication(request)))
    barred = _barred(visit, silent=silent)
    if barred is not None:
        return barred
    terms_first = asking.sign_in(request, who.membership, now())
    if terms_first is not None:
        return visit.refused("interaction_required", "Terms wait for this person.") if silent else terms_first
    if request.method == "POST":
        return _answered(request, visit)
    if _is_stale(visit):
        return visit.refused("login_required", "The sign-in is too old.") if silent else _page(visit, "sign_in_again")
    if _may_be_silent(visit):
        return found(authorization_requests.approve(asked, visit.by, now()))
    if silent:
        return visit.refused("consent_required", "This person must be asked first.")
    return _page(visit, "consent")


def _barred(visit: Visit, *, silent: bool) -> HttpResponse | None:
    """Return the answer where this client may not be used in the person's organization.

    That it is suspended is said to the person first, and to the client when they return to it.
    """
    client, organization = visit.asked.destination.client, visit.member.organization_id
    if client.organization_id not in (None, organization):
        return visit.refused("access_denied", "This client belongs to another organization.")
    found, text = suspended.of_client(client, organization), suspended_client(client, visit.member)
    if found is None or text is None:
        return None
    if silent or visit.request.method == "POST":
        return visit.refused("access_denied", suspended.sentence(found))
    return show(visit.request, "client_suspended", {"message": text, "client": client}, text.status)


def _is_stale(visit: Visit) -> bool:
    """Return whether the client wants a newer sign-in than this browser's."""
    asked, at = visit.asked, visit.by.authentication.at.timestamp()
    too_old = asked.max_age is not None and at + asked.max_age < now().timestamp()
    return (too_old or "login" in asked.prompt) and at < _wanted_after(visit.request)


def _wanted_after(request: HttpRequest) -> float:
    """Return since when a sign-in counts as new: when we asked for it, or else never."""
    try:
        return float(signing.loads(request.GET.get(AFTER, ""), salt=_SALT))
    except (signing.BadSignature, ValueError, TypeError):
        return float("inf")


def _may_be_silent(visit: Visit) -> bool:
    """Return whether this person need not be asked: they agreed before, and nothing speaks for asking again."""
    asked, to = visit.asked, visit.asked.destination
    if asked.prompt & {"consent", "select_account", "login"} or _expects_another(visit):
        return False
    return consents.covers(to.client, visit.member, to.redirect_uri, asked.scope, now())


def _expects_another(visit: Visit) -> bool:
    hint = visit.asked.login_hint.strip().lower()
    return bool(hint) and hint != visit.member.person.email


def _page(visit: Visit, page: str) -> HttpResponse:
    to = visit.asked.destination
    content = {
        "client": to.client,
        "membership": visit.member,
        "wishes": wishes(visit.asked.scope, visit.member),
        "redirect_uri": to.redirect_uri,
        "lasts": lasting(to.client),
        "expected": visit.asked.login_hint if _expects_another(visit) else "",
        "remembered": consents.may_be_remembered(to.redirect_uri),
    }
    return show(visit.request, page, content)


@own_page_only
def _answered(request: HttpRequest, visit: Visit) -> HttpResponse:
    return _DECISIONS.get(request.POST.get("decision", ""), _deny)(visit)


def _approve(visit: Visit) -> HttpResponse:
    asked, to = visit.asked, visit.asked.destination
    if _is_stale(visit):
        return _page(visit, "sign_in_again")
    address = authorization_requests.approve(asked, visit.by, now())
    consents.remember(to.client, visit.member, to.redirect_uri, asked.scope, now())
    return found(address)


def _deny(visit: Visit) -> HttpResponse:
    pushed_requests.use_up(visit.asked.pushed, now())
    return found(visit.asked.destination.with_refusal(DENIED))


def _sign_in_again(visit: Visit) -> HttpResponse:
    """End this browser's session and ask who is there; the sign-in that follows is new enough.

    Who came by single sign-on goes there at once: the mark in the address has the provider asked to ask anew.
    """
    following = _marked(visit.request)
    connection = connections.enabled(str(visit.request.session.get(CONNECTION, "")))
    if connection is None:
        return _leave(visit, following, visit.member.person.email)
    logout(visit.request)
    query = urlencode({"next": following}, safe="/")
    return HttpResponseRedirect(f"{resolve_url('sso_start', connection.wire_id)}?{query}")


def _marked(request: HttpRequest) -> str:
    """Return the address of this request, with when we asked for a sign-in."""
    query = request.GET.copy()
    query[AFTER] = signing.dumps(int(now().timestamp()), salt=_SALT)
    return f"{request.path}?{query.urlencode()}"


def _switch(visit: Visit) -> HttpResponse:
    """End this browser's session and let another account come."""
    return _leave(visit, visit.request.get_full_path(), visit.asked.login_hint if _expects_another(visit) else "")


def _leave(visit: Visit, following: str, hint: str) -> HttpResponse:
    logout(visit.request)
    return _to_sign_in(following, hint)


def _to_sign_in(following: str, hint: str) -> HttpResponse:
    query = {"next": following, **({"login_hint": hint} if hint else {})}
    return HttpResponseRedirect(f"{resolve_url('account_login')}?{urlencode(query, safe='/')}")


_DECISIONS: Final[Mapping[str, Callable[[Visit], HttpResponse]]] = {
    "approve": _approve,
    "sign_in_again": _sign_in_again,
    "switch": _switch,
}
