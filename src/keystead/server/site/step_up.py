"""Asking who is there before something that matters, and keeping those out who lack a second factor they must have.

A form that matters is not lost: the page that asks carries what was typed, and the same request goes on once the
person has confirmed. Both rules stand in one place so that no page can forget them (ASVS 5.0 V7.5.3).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from keystead.server import counters
from keystead.server.authorization import browser_session
from keystead.server.authorization.surroundings import now
from keystead.server.console.second_factor import answered
from keystead.server.console.security import NOT_ACCEPTED, PASSKEY_STATE, as_json
from keystead.server.console.single_sign_on import start_address
from keystead.server.factors import operations as factors
from keystead.server.factors import passkeys
from keystead.server.identity.models import Person
from keystead.server.sso import connections
from keystead.server.sso.sessions import CONNECTION

RECENT: Final = timedelta(minutes=10)
CONFIRMATIONS: Final = counters.Limit("confirmations-person", 5, 300)
_CONFIRMED_AT: Final = "keystead_confirmed_at"
_UNSAFE: Final = frozenset({"POST"})
_OURS: Final = frozenset({"confirm", "confirm_password", "confirm_code", "confirm_passkey", "csrfmiddlewaretoken"})

MATTERS: Final = frozenset(
    {
        "address", "client", "client_new", "compliance", "connection", "connection_delete", "connection_new_oidc",
        "connection_new_saml", "connection_switch", "domain", "domain_claim", "group", "group_add", "group_remove",
        "group_take_out", "groups", "invitation_renew", "invitations", "keys", "limit_remove", "limits",
        "member", "member_bring_back",
        "member_end", "member_end_sessions", "member_forget_factors", "policy", "policy_move", "policy_new",
        "policy_remove", "provisioning", "provisioning_end", "registration_token_revoke", "registration_tokens",
        "rotate_key",
        "security_app", "security_app_remove", "security_codes", "security_passkey_new", "security_passkey_remove",
        "security_require", "session_end", "sessions_end_others", "suspension", "terms", "terms_kind", "upstream",
        "upstream_credential", "upstream_move", "upstream_new", "upstream_remove", "upstream_switch",
        "workload_disable", "workload_new", "workload_rule",
    }
)  # fmt: skip
"""Forms that give somebody access, take it away from others, or change how one signs in; and those that end browsers'
sessions (ASVS 5.0 V7.5.2), or else who took one over could put its owner out."""

DOES_NOT: Final = frozenset(
    {
        "account_login", "account_logout", "address_confirm", "address_verify", "authorize", "connection_try",
        "device", "end_old_secret",
        "forgotten", "invitation", "invitation_accept", "invitation_revoke", "link", "passkey_sign_in",
        "password", "reset", "revoke_key", "saml_acs", "saml_arrived", "second_factor", "setup", "sign_out",
        "sign_out_everywhere", "sso", "terms_later", "upstream_test", "workload_test",
    }
)  # fmt: skip
"""The other forms: they let nobody else in, they only end something, or they ask by themselves."""

OPEN: Final = frozenset(
    {
        "account", "account_logout", "confirmed", "password", "security", "security_app", "security_app_remove",
        "security_codes", "security_passkey_new", "security_passkey_remove", "session_end", "sessions",
        "sessions_end_others",
    }
)  # fmt: skip
"""What somebody reaches who has to add a second factor first: that, and their own password and browsers."""

View = Callable[..., HttpResponseBase]


class StepUp:
    """Django's middleware for both rules; it stands behind those for sessions, people and forged forms."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, _view: View, _args: tuple[Any, ...], _named: dict[str, Any]
    ) -> HttpResponseBase | None:
        """Return a page to show in place of the one asked for, or None to go on."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not isinstance(request.user, Person):
            return None
        name = request.resolver_match.url_name if request.resolver_match else None
        if name not in OPEN and CONNECTION not in request.session and factors.is_missing(request.user):
            return redirect("security")
        if name not in MATTERS or request.method not in _UNSAFE or is_recent(request, now()):
            return None
        return _confirm(request, request.user)


def is_recent(request: HttpRequest, moment: datetime) -> bool:
    """Return whether the person has proved who they are within the last :data:`RECENT`."""
    signed_in = browser_session.authentication(request).at.timestamp()
    proved = max(signed_in, float(request.session.get(_CONFIRMED_AT, 0)))
    return moment.timestamp() - proved < RECENT.total_seconds()


def _confirm(request: HttpRequest, person: Person) -> HttpResponseBase | None:
    """Take what the person confirms with, and go on with what they had typed; or ask for it."""
    asked, fault = request.POST.get("confirm"), ""
    if asked is not None:
        fault = _fault(request, person, asked)
        if not fault:
            request.session.cycle_key()  # who knew the session before does not share what was proved now
            request.session[_CONFIRMED_AT] = int(now().timestamp())
            kept = request.POST.copy()
            for name in _OURS:
                kept.pop(name, None)
            request.POST = kept  # type: ignore[assignment]  # a copy that can no longer be told from the form
            return None
    return _page(request, person, fault)


def _fault(request: HttpRequest, person: Person, asked: str) -> str:
    """Return why it is not confirmed, or nothing when it is."""
    if counters.used_up(CONFIRMATIONS, str(person.pk)):
        return "Too many wrong tries. Wait five minutes, then try once more."
    if asked == "passkey":
        fault = "" if answered(request, person, "confirm_passkey") is not None else NOT_ACCEPTED
    elif not person.check_password(request.POST.get("confirm_password", "")):
        fault = "The password is not right."
    elif factors.has_any(person) and factors.use_code(person, request.POST.get("confirm_code", ""), now()) is None:
        fault = "The code is not right, or was used before. Wait for the next one."
    else:
        fault = ""
    if fault:
        counters.count(CONFIRMATIONS, str(person.pk))
    return fault


def _page(request: HttpRequest, person: Person, fault: str) -> HttpResponse:
    owned, base_url = factors.of(person), str(settings.KEYSTEAD.base_url)
    page: dict[str, Any] = {
        "fault": fault,
        "kept": [(name, value) for name, values in request.POST.lists() if name not in _OURS for value in values],
        "minutes": int(RECENT.total_seconds() // 60),
        "by_password": person.has_usable_password(),
        "by_code": owned.any,
        "again": _again(request.session),
    }
    if owned.passkeys and passkeys.are_possible(base_url):
        options, request.session[PASSKEY_STATE] = passkeys.ask(base_url, person)
        page["options"] = as_json(options)
    return render(request, "console/confirm.html", page, status=422 if fault else 403)


def _again(session: SessionBase) -> str:
    """Return where somebody who came by single sign-on signs in again, or nothing."""
    connection = connections.enabled(str(session.get(CONNECTION, "")))
    return "" if connection is None else start_address(connection, reverse("confirmed"), again=True)
