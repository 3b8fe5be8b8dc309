"""The page where a person connects a device (RFC 8628 section 3.3).

Three steps, each a form that never sends itself: type the code, see which program asks for what, say yes or no.
The code is looked up only by a form from our own page, so that a link cannot probe codes.
"""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from keystead.server.authorization import browser_session, device_codes
from keystead.server.authorization.checks import attempts
from keystead.server.authorization.device_codes import Answer
from keystead.server.authorization.models import DeviceCode
from keystead.server.authorization.surroundings import now
from keystead.server.authorization.views import address_of
from keystead.server.authorization.views.pages import (
    Acting,
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
from keystead.server.terms import asking

_CODE_LENGTH = 32

TOO_MANY = Message(429, "Too many tries", "Wait ten minutes, then ask the device for a new code.")
APPROVED = Message(200, "Your device is signed in", "Return to your device. You can close this page.")
DENIED = Message(200, "Denied", "The device was not signed in. You can close this page.")
TOO_LATE = Message(409, "That code is no longer waiting", "It was used or has expired. Ask the device for a new code.")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def device(request: HttpRequest) -> HttpResponse:
    """Show the form, look a code up, or take the answer."""
    who = acting(request)
    if isinstance(who, HttpResponse):
        return who
    terms_first = asking.sign_in(request, who.membership, now())
    if terms_first is not None:
        return terms_first
    if request.method != "POST":
        return _form(request, _typed(request.GET.get("user_code", "")))
    return _posted(request, who)


@own_page_only
def _posted(request: HttpRequest, who: Acting) -> HttpResponse:
    typed = _typed(request.POST.get("user_code", ""))
    if _no_try_left(request, who, typed):
        return message(request, TOO_MANY)
    code = device_codes.waiting(typed, now())
    if code is None:
        attempts.count(attempts.WRONG_CODES_PER_ADDRESS, address_of(request))
        attempts.count(attempts.WRONG_CODES_PER_PERSON, str(who.membership.person_id))
        return _form(request, typed, "This code is not waiting for anybody. Check it, or ask the device for a new one.")
    attempts.count(attempts.TRIES_PER_CODE, typed)
    return _answered(request, code, who.membership)


def _answered(request: HttpRequest, code: DeviceCode, member: Membership) -> HttpResponse:
    decision = request.POST.get("decision")
    barred = None if decision == "deny" else suspended_client(code.client, member)
    if barred is not None:
        return message(request, barred)
    if decision not in {"approve", "deny"}:
        return _question(request, code, member)
    answer = Answer(decision == "approve", member, browser_session.authentication(request))
    if not device_codes.decide(code, answer, now()):
        return message(request, TOO_LATE)
    return message(request, APPROVED if answer.approve else DENIED)


def _no_try_left(request: HttpRequest, who: Acting, typed: str) -> bool:
    return (
        attempts.used_up(attempts.WRONG_CODES_PER_ADDRESS, address_of(request))
        or attempts.used_up(attempts.WRONG_CODES_PER_PERSON, str(who.membership.person_id))
        or attempts.used_up(attempts.TRIES_PER_CODE, typed)
    )


def _typed(value: str) -> str:
    """Return what was typed as codes are shown; what cannot be a code is cut, not repeated at length."""
    letters = "".join(letter for letter in value.upper() if letter in device_codes.ALPHABET)
    return f"{letters[:4]}-{letters[4:]}" if len(letters) == 8 else value[:_CODE_LENGTH]


def _form(request: HttpRequest, typed: str, fault: str = "") -> HttpResponse:
    return show(request, "device", {"user_code": typed, "fault": fault}, 400 if fault else 200)


def _question(request: HttpRequest, code: DeviceCode, member: Membership) -> HttpResponse:
    content = {
        "user_code": _typed(request.POST.get("user_code", "")),
        "client": code.client,
        "label": code.label,
        "lasts": lasting(code.client),
        "membership": member,
        "wishes": wishes(code.scope, member),
    }
    return show(request, "device_confirm", content)
