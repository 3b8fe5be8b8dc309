"""A forgotten password: the question, the link, and the new password."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from keystead.errors import KeysteadError
from keystead.server import form_errors
from keystead.server.accounts import errands, limits, pages
from keystead.server.accounts.forms import ForgottenForm, LinkForm, ResetForm
from keystead.server.authorization import sign_ins
from keystead.server.authorization.surroundings import now
from keystead.server.identity import accounts, browser_sessions, link_codes
from keystead.server.identity.accounts import NewPassword
from keystead.server.identity.models import LinkCode, Purpose
from keystead.server.mail.operations import letter, post
from keystead.wire import ids

HELD: Final = "keystead_link"
"""Where the browser's session keeps the hash of the code whose link it opened."""
REASON: Final = "password_reset"

LEADS_TO: Final = {Purpose.RESET: "reset", Purpose.ADDRESS: "address_confirm"}


@require_http_methods(pages.METHODS)
def forgotten(request: HttpRequest) -> HttpResponseBase:
    """Ask for the address; the answer is the same whoever has it, and comes before anything is looked up."""
    form = ForgottenForm(request.POST or None)
    if not form.is_valid():
        return render(request, "accounts/forgotten.html", {"form": form}, status=form_errors.status_of(form))
    if not limits.take(limits.RESETS_PER_PLACE, browser_sessions.address_of(request)):
        return pages.say(request, pages.TOO_OFTEN)
    email = form.cleaned_data["email"].strip().lower()
    if limits.take(limits.RESETS_PER_ADDRESS, email):
        errands.ask_for_reset(email, now())
    return render(request, "accounts/forgotten_sent.html", {"email": email})


@sensitive_post_parameters()
@require_http_methods(pages.METHODS)
def link(request: HttpRequest) -> HttpResponseBase:
    """Take the code of a link, use nothing up, and lead to what it is for."""
    form = LinkForm(request.POST or None)
    if form.is_valid():
        if not limits.take(limits.LINKS_PER_PLACE, browser_sessions.address_of(request)):
            return pages.say(request, pages.TOO_OFTEN)
        try:
            found = link_codes.look(form.cleaned_data["code"], now())
        except KeysteadError as error:
            form_errors.explain(form, error)
        else:
            request.session[HELD] = bytes(found.digest).hex()
            return redirect(LEADS_TO[Purpose(found.purpose)])
    return render(request, "accounts/link.html", {"form": form}, status=form_errors.status_of(form))


def held(request: HttpRequest, purpose: Purpose) -> LinkCode | None:
    """Return the link that this browser opened, if it still works and is for that."""
    try:
        found = link_codes.of_digest(bytes.fromhex(request.session.get(HELD, "")), now())
    except KeysteadError:
        return None
    return found if found.purpose == purpose else None


@sensitive_post_parameters()
@require_http_methods(pages.METHODS)
def reset(request: HttpRequest) -> HttpResponseBase:
    """Take a new password; the page shows whose, and which programs are signed in as them."""
    found = held(request, Purpose.RESET)
    if found is None:
        return pages.say(request, pages.NO_LINK)
    programs = list(sign_ins.of_person(found.person, now()))
    form = ResetForm(request.POST or None, has_sign_ins=bool(programs))
    if form.is_valid():
        if not limits.take(limits.PASSWORDS_PER_LINK, bytes(found.digest).hex()):
            return pages.say(request, pages.TOO_OFTEN)
        try:
            _finish(found, form.cleaned_data)
        except KeysteadError as error:
            form_errors.explain(form, error)
        else:
            request.session.flush()
            return redirect("reset_done")
    page = {"form": form, "person": found.person, "programs": programs}
    return render(request, "accounts/reset.html", page, status=form_errors.status_of(form))


def _finish(found: LinkCode, given: dict[str, Any]) -> None:
    """Change the password, end what is to end, and tell the person."""
    at, actor = now(), ids.dump("person", found.person_id)

    def tidy() -> None:
        theirs = sign_ins.of_person(found.person, at) if given.get("ends_sign_ins") else []
        ended = sum(sign_ins.end(grant, actor, REASON, at) for grant in theirs)
        post(letter(found.person.email, "password_changed", by_link=True, ended=ended))

    accounts.reset_password(found, NewPassword(given["password"]), at, tidy)


@require_safe
def reset_done(request: HttpRequest) -> HttpResponseBase:
    """Say that it worked."""
    return pages.say(request, pages.RESET)
