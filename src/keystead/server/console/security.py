"""The page where people see and change what they prove who they are with, and what the pages behind it share."""

import json
from collections.abc import Callable
from secrets import token_bytes
from typing import Any, Final
from urllib.parse import urlsplit

import segno
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from keystead.errors import KeysteadError, UsageError
from keystead.secret import Secret
from keystead.server.console.access import for_members, for_those_who, now, refused
from keystead.server.console.security_forms import AppForm, PasskeyForm
from keystead.server.factors import authenticator_apps, passkeys
from keystead.server.factors import operations as factors
from keystead.server.identity import browser_sessions
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission

PASSKEY_STATE: Final = "keystead_passkey"
NOT_ACCEPTED: Final = "That passkey was not accepted. Try again, or use another way."
_NOT_THE_APPS: Final = "This is not the app's code. Check that the phone's clock is right, and try the next one."
_METHODS: Final = ["GET", "HEAD", "POST"]


@require_safe
@for_members
def overview(request: HttpRequest, member: Membership) -> HttpResponse:
    """Show what the person has."""
    page = {
        "member": member,
        "factors": factors.of(member.person),
        "passkeys_possible": passkeys.are_possible(_base_url()),
        "base_url": _base_url(),
        "is_required": factors.is_required(member.organization),
        "is_missing": factors.is_missing(member.person),
        "may_require": organizations.may(member, Permission.MEMBERS_MANAGE),
    }
    return render(request, "console/security.html", page)


@sensitive_post_parameters()
@require_http_methods(_METHODS)
@for_members
def app(request: HttpRequest, member: Membership) -> HttpResponse:
    """Show a new secret as a QR code, and keep it once a code proves that the app has it."""
    form = AppForm(member.person, now(), request.POST or None)
    if form.is_valid():
        codes = factors.add_app(member, form.secret, form.cleaned_data["code"], now(), token_bytes)
        if codes is not None:
            return _added(request, member, codes, "Authenticator app added")
        form.add_error("code", _NOT_THE_APPS)
    address = authenticator_apps.address(form.secret, member.person, urlsplit(_base_url()).netloc)
    page = {"form": form, "secret": form.grouped, "picture": _picture(address)}
    return render(request, "console/security_app.html", page, status=422 if form.errors or form.is_stale else 200)


@require_http_methods(_METHODS)
@for_members
def app_remove(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Ask, then remove the authenticator app."""
    if factors.of(member.person).app is None:
        raise Http404
    if request.method == "POST":
        return _removed(request, member, lambda: factors.remove_app(member, now()))
    page = {"what": "the authenticator app", "after": "Its codes are no longer taken."}
    return render(request, "console/security_remove.html", page)


@require_http_methods(_METHODS)
@for_members
def passkey_new(request: HttpRequest, member: Membership) -> HttpResponse:
    """Have the browser create a passkey, and keep it."""
    if not passkeys.are_possible(_base_url()):
        raise Http404
    form = PasskeyForm(request.POST or None)
    if form.is_valid():
        try:
            state = request.session.pop(PASSKEY_STATE, {})
            given = form.cleaned_data
            codes = factors.add_passkey(
                member, state, given["credential"], given["name"], now(), token_bytes, _base_url()
            )
            return _added(request, member, codes, "Passkey added")
        except passkeys.NotAccepted:
            form.add_error(None, NOT_ACCEPTED)
        except UsageError as error:
            form.add_error(None, f"{error.message} {error.hint}")
    options, request.session[PASSKEY_STATE] = passkeys.ask_for_new(member.person, _base_url())
    page = {"form": form, "options": as_json(options)}
    return render(request, "console/security_passkey.html", page, status=422 if form.errors else 200)


@require_http_methods(_METHODS)
@for_members
def passkey_remove(request: HttpRequest, member: Membership, passkey_id: str) -> HttpResponseBase:
    """Ask, then remove a passkey."""
    found = next((one for one in factors.of(member.person).passkeys if str(one.pk) == passkey_id), None)
    if found is None:
        raise Http404
    if request.method == "POST":
        return _removed(request, member, lambda: factors.remove_passkey(member, found, now()))
    page = {"what": f"the passkey “{found.name}”", "after": "Delete it from the device or password manager too."}
    return render(request, "console/security_remove.html", page)


@require_http_methods(_METHODS)
@for_members
def codes(request: HttpRequest, member: Membership) -> HttpResponse:
    """Ask, then make new recovery codes, which are shown on this answer only."""
    if request.method != "POST":
        return render(request, "console/security_codes.html", {"factors": factors.of(member.person)})
    try:
        return _added(request, member, factors.renew_codes(member, now(), token_bytes), "New recovery codes")
    except UsageError as error:
        return refused(request, error)


@require_http_methods(["POST"])
@for_those_who(lambda member: organizations.require(member, Permission.MEMBERS_MANAGE, "ask for a second factor"))
def require(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Have the organization ask everybody for a second factor, or no longer."""
    wanted = request.POST.get("required") == "yes"
    return _changed(request, lambda: factors.require(member, required=wanted, now=now()))


@require_safe
@for_members
def confirmed(request: HttpRequest, member: Membership) -> HttpResponse:  # noqa: ARG001
    """Say, in a tab of its own, that one may go on in the other."""
    return render(request, "console/confirmed.html")


def as_json(options: passkeys.Options) -> str:
    """Return what the page's script gives to the browser."""
    return json.dumps(options, default=dict)


def _removed(request: HttpRequest, member: Membership, change: Callable[[], None]) -> HttpResponseBase:
    def change_and_end() -> None:
        change()
        _end_others(request, member)

    return _changed(request, change_and_end)


def _changed(request: HttpRequest, change: Any) -> HttpResponseBase:
    try:
        change()
    except KeysteadError as error:
        return refused(request, error)
    return redirect("security")


def _end_others(request: HttpRequest, member: Membership) -> None:
    """Sign out the other browsers of somebody whose factors changed: one of them may be why (ASVS 5.0 V7.4.3)."""
    browser_sessions.forget(member.person, request.session.session_key)


def _added(request: HttpRequest, member: Membership, codes: list[str] | None, title: str) -> HttpResponse:
    _end_others(request, member)
    return render(request, "console/security_added.html", {"codes": codes, "title": title})


def _picture(address: Secret) -> str:
    """Return a QR code as SVG that needs no style of its own, which the content security policy would not allow."""
    drawn = segno.make(address.reveal(), error="m").svg_inline(omitsize=True, svgclass="qr", border=4)
    return mark_safe(drawn)  # noqa: S308  numbers, drawn by us


def _base_url() -> str:
    return str(settings.KEYSTEAD.base_url)
