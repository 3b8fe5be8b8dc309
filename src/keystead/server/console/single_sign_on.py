"""Signing in through an organization's own identity provider: out to it, and back to where the person was."""

import secrets
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from keystead.errors import KeysteadError
from keystead.server.console.access import now
from keystead.server.console.sso_forms import AddressForm
from keystead.server.sso import attempts, connections, conversation, domains, openid, saml, sign_in
from keystead.server.sso.asserted import Asserted
from keystead.server.sso.attempts import Wish
from keystead.server.sso.faults import SignInFault
from keystead.server.sso.models import Attempt, Connection, Identity, Kind
from keystead.server.sso.network import sender
from keystead.server.sso.oidc_settings import OidcSettings
from keystead.server.sso.saml import Here
from keystead.server.sso.saml_settings import SamlSettings
from keystead.server.sso.sessions import CONNECTION, PROVED

BROWSER: Final = "sso_browser"
TRIAL: Final = "sso_trial"

Fault = KeysteadError | SignInFault
FAULTS: Final = (KeysteadError, SignInFault)

LEAVING_POLICY: Final = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
"""Without ``form-action``: browsers apply it to the redirect after the form too, and that leads elsewhere."""


@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: HttpRequest) -> HttpResponseBase:
    """Ask for the e-mail address, and lead to the identity provider of its domain."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    form = AddressForm(request.POST or None)
    offered: list[Connection] = []
    if form.is_valid():
        domain = domains.owner(domains.of_address(form.cleaned_data["email"]))
        offered = [] if domain is None else list(connections.enabled_for(domain.organization))
        if len(offered) == 1:
            return redirect(start_address(offered[0], wanted))
        if not offered:
            form.add_error(None, "No organization here signs people with this address in by single sign-on.")
    page = {
        "form": form,
        "next": wanted,
        "is_required": "required" in request.GET,
        "links": [(one.name, start_address(one, wanted)) for one in offered],
    }
    response = render(request, "console/sso.html", page, status=422 if form.errors else 200)
    response["Content-Security-Policy"] = LEAVING_POLICY
    return response


def start_address(connection: Connection, wanted: str, *, again: bool = False) -> str:
    """Return the page of ours that sends a browser to the identity provider.

    Args:
        connection: which one.
        wanted: where to go afterwards, or nothing.
        again: the provider is told to ask who is there even where it knows.
    """
    query = {**({"next": wanted} if wanted else {}), **({"again": "yes"} if again else {})}
    return f"{reverse('sso_start', args=[connection.wire_id])}{f'?{urlencode(query)}' if query else ''}"


@require_safe
def start(request: HttpRequest, connection_id: str) -> HttpResponseBase:
    """Send the browser to the identity provider."""
    connection = connections.enabled(connection_id)
    if connection is None:
        raise Http404
    wanted = request.GET.get("next", "")
    return leave(request, connection, Wish(wanted, again="again" in request.GET or attempts.wants_anew(wanted)))


def leave(request: HttpRequest, connection: Connection, wish: Wish) -> HttpResponseBase:
    """Begin an attempt in this browser and send it on; a fault is a page."""
    try:
        state = attempts.begin(connection, browser_secret(request), wish, now())
        return HttpResponseRedirect(_out[Kind(connection.kind)](connection, state, now(), wish.again))
    except FAULTS as error:
        return fault_page(request, error)


def _to_openid(connection: Connection, state: str, _at: datetime, again: bool) -> str:
    chosen = OidcSettings.from_json(connection.settings)
    registration = connections.registration(connection, settings.KEYSTEAD.base_url)
    proof = attempts.proof(state)
    scope, prompt = chosen.asked_scope, chosen.prompt
    return openid.authorization_url(chosen.metadata, registration, scope, proof, prompt, again=again)


def _to_saml(connection: Connection, state: str, at: datetime, again: bool) -> str:
    here = Here.of(settings.KEYSTEAD.base_url, connection.wire_id)
    chosen = SamlSettings.from_json(connection.settings)
    return saml.request_url(here, chosen, attempts.request_id(state), at, again=again)


_out = {Kind.OIDC: _to_openid, Kind.SAML: _to_saml}


@require_safe
def callback(request: HttpRequest, connection_id: str) -> HttpResponseBase:
    """Take the answer of an OpenID provider (RFC 6749 section 4.1.2, RFC 9207)."""
    connection = connections.any_one(connection_id)
    if connection is None or connection.kind != Kind.OIDC:
        raise Http404
    try:
        state = request.GET.get("state", "")
        attempt = attempts.of_state(connection, state)
        claim(request, attempt)
    except FAULTS as error:
        return refuse(request, connection, error)
    try:
        said = _said_by_openid(request, connection, state)
    except FAULTS as error:
        return _failed(request, attempt, error)
    return finish(request, attempt, said)


def _said_by_openid(request: HttpRequest, connection: Connection, state: str) -> Asserted:
    metadata = OidcSettings.from_json(connection.settings).metadata
    openid.check_issuer(metadata, request.GET.get("iss"))
    if "code" not in request.GET:
        code = request.GET.get("error", "")
        named = code if code.replace("_", "").isalpha() and len(code) < 60 else "an answer without a code"
        raise SignInFault(
            "provider_refused", f"The identity provider did not sign you in: {named}.", hint="Start again."
        )
    registration = connections.registration(connection, settings.KEYSTEAD.base_url)
    send = sender(settings.KEYSTEAD)
    return conversation.asserted(connection, registration, state, request.GET["code"], send, now())


def claim(request: HttpRequest, attempt: Attempt, *, is_unasked: bool = False) -> None:
    """Use the attempt up in the browser it was begun in; a connection that is off takes only trials.

    Raises:
        SignInFault: it is another browser (one that began elsewhere has none), or too late, or switched off.
    """
    if not is_unasked:
        attempts.check_browser(attempt, browser_secret(request))
    attempts.use_up(attempt, now())
    if attempt.connection.enabled_at is None and not attempt.trial:
        raise SignInFault("connection_off", "Nobody signs in this way any longer.", hint="Ask an administrator.")


def finish(request: HttpRequest, attempt: Attempt, said: Asserted) -> HttpResponseBase:
    """Sign the person in, or show the administrator who tests what would happen."""
    if attempt.trial:
        return _show_trial(request, attempt, said, _previewed(attempt.connection, said))
    try:
        attempts.check_anew(attempt, said.authenticated_at)
    except SignInFault as error:
        return refuse(request, attempt.connection, error)
    try:
        identity = sign_in.admit(attempt.connection, said, now())
    except FAULTS as error:
        return fault_page(request, error)
    enter(request, identity, None if attempt.again else said.authenticated_at)
    return redirect(attempts.local_path(attempt.next_path))


def enter(request: HttpRequest, identity: Identity, proved_at: datetime | None = None) -> None:
    """Open a session for the person, which ends no later than what the identity provider said holds.

    Args:
        request: of the browser.
        identity: who it is.
        proved_at: when they last proved it there, if it said so: coming back here proves nothing anew.
    """
    if request.user.is_authenticated:  # Django keeps the key of a session where the same person signs in anew
        request.session.cycle_key()
    login(request, identity.person, backend=settings.AUTHENTICATION_BACKENDS[0])
    request.session[CONNECTION] = identity.connection.wire_id
    at = now()
    request.session[PROVED] = int(min(at, proved_at or at).timestamp())
    until = at + sign_in.WITHOUT_ASKING if identity.valid_until is None else identity.valid_until
    seconds = min((until - at).total_seconds(), sign_in.WITHOUT_ASKING.total_seconds())
    request.session.set_expiry(max(1, int(seconds)))


def _previewed(connection: Connection, said: Asserted) -> dict[str, Any]:
    try:
        admission = sign_in.preview(connection, said)
    except SignInFault as fault:
        return {"fault": fault.message, "hint": fault.hint}
    return {
        "role": admission.role.value,
        "creates_account": admission.creates_account,
        "creates_membership": admission.creates_membership,
        "links": admission.links,
        "changes_role": admission.changes_role,
    }


def _show_trial(
    request: HttpRequest, attempt: Attempt, said: Asserted | None, outcome: dict[str, Any]
) -> HttpResponseBase:
    result: dict[str, Any] = {"connection": attempt.connection.wire_id, "outcome": outcome}
    if said is not None:
        result |= {
            "subject": said.subject,
            "email": said.email,
            "email_verified": said.email_verified,
            "groups": list(said.groups),
            "said": dict(said.said),
            "can_ask_again": said.refresh_token is not None,
        }
    request.session[TRIAL] = result
    return redirect("connection_trial", attempt.connection.wire_id)


def _failed(request: HttpRequest, attempt: Attempt, error: Fault) -> HttpResponseBase:
    if attempt.trial:
        return _show_trial(request, attempt, None, {"fault": error.message, "hint": error.hint})
    return refuse(request, attempt.connection, error)


def refuse(request: HttpRequest, connection: Connection, error: Fault) -> HttpResponse:
    """Write down that an answer was not taken, and say so."""
    if isinstance(error, SignInFault):
        sign_in.refused(connection, error, now())
    return fault_page(request, error)


def fault_page(request: HttpRequest, error: Fault) -> HttpResponse:
    """Say why nobody was signed in; 403 where somebody may not, 502 where the other side did not answer."""
    status = 403 if isinstance(error, SignInFault) else 502
    return render(request, "console/sso_fault.html", {"error": error}, status=status)


def browser_secret(request: HttpRequest) -> str:
    """Return this browser's secret, made at first use; it lives in the session, behind an HttpOnly cookie."""
    if BROWSER not in request.session:
        request.session[BROWSER] = secrets.token_hex(32)
    return str(request.session[BROWSER])
