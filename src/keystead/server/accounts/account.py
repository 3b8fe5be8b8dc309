"""One's own account: an overview, another password, another address, and the browsers one is signed in with."""

from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from keystead.errors import KeysteadError
from keystead.server import form_errors
from keystead.server.accounts import errands, limits, pages, reset, standing
from keystead.server.accounts.forms import AddressForm, PasswordForm
from keystead.server.accounts.pages import Message
from keystead.server.authorization.surroundings import now
from keystead.server.identity import accounts, browser_sessions, browsers
from keystead.server.identity.accounts import NewPassword
from keystead.server.identity.models import LinkCode, Person, Purpose
from keystead.server.mail.operations import letter, post
from keystead.wire import ids

_OTHER_PERSON = Message(
    403,
    "This link is another account's",
    "It was made for somebody else than who is signed in here. Sign in as them, then open the link again.",
    "account",
    "To your account",
)


@require_safe
@pages.for_person
def account(request: HttpRequest, person: Person) -> HttpResponse:
    """Show what is known of the person, and what they can change."""
    page = {
        "person": person,
        "fixed_password": standing.obstacle(person, standing.PASSWORD),
        "fixed_address": standing.obstacle(person, standing.ADDRESS),
    }
    return render(request, "accounts/account.html", page)


@sensitive_post_parameters()
@require_http_methods(pages.METHODS)
@pages.for_person
def password(request: HttpRequest, person: Person) -> HttpResponseBase:
    """Change the password of somebody who knows the current one; their other browsers are signed out."""
    fixed = standing.obstacle(person, standing.PASSWORD)
    if fixed is not None:
        return _fixed(request, "Your password", fixed)
    form = PasswordForm(request.POST or None)
    if form.is_valid():
        if not _proves_it(form, person):
            return pages.say(request, pages.TOO_OFTEN)
        if not form.errors:
            _change_password(request, person, form)
        if not form.errors:
            return redirect("account")
    return render(request, "accounts/password.html", {"form": form}, status=form_errors.status_of(form))


def _change_password(request: HttpRequest, person: Person, form: PasswordForm) -> None:
    try:
        chosen = NewPassword(form.cleaned_data["password"], request.session.session_key)
        accounts.change_password(person, chosen, now())
    except KeysteadError as error:
        form_errors.explain(form, error)
    else:
        update_session_auth_hash(request, person)
        post(letter(person.email, "password_changed", by_link=False, ended=0))


def _proves_it(form: PasswordForm | AddressForm, person: Person) -> bool:
    """Compare the current password, and mark the field if it is wrong; returns False when there is no try left."""
    if not limits.take(limits.PASSWORDS_PER_PERSON, str(person.pk)):
        return False
    if not person.check_password(form.cleaned_data["current"]):
        form.add_error("current", "This is not your current password.")
    return True


@sensitive_post_parameters()
@require_http_methods(pages.METHODS)
@pages.for_person
def address(request: HttpRequest, person: Person) -> HttpResponseBase:
    """Ask for another address; nothing changes until a link that is mailed there has been opened."""
    fixed = standing.obstacle(person, standing.ADDRESS)
    if fixed is not None:
        return _fixed(request, "Your email", fixed)
    form = AddressForm(request.POST or None)
    if form.is_valid():
        if not _proves_it(form, person):
            return pages.say(request, pages.TOO_OFTEN)
        email = form.cleaned_data["email"].strip().lower()
        if standing.leaves_its_domain(person, email):
            form.add_error("email", "Your organization owns the domain of your address; stay in it.")
        if not form.errors:
            return _verify(request, person, email)
    return render(request, "accounts/address.html", {"form": form}, status=form_errors.status_of(form))


@require_POST
@pages.for_person
def verify(request: HttpRequest, person: Person) -> HttpResponseBase:
    """Mail a link to the address that the person has."""
    return _verify(request, person, person.email)


def _verify(request: HttpRequest, person: Person, email: str) -> HttpResponse:
    if not limits.take(limits.ADDRESSES_PER_PERSON, str(person.pk)):
        return pages.say(request, pages.TOO_OFTEN)
    errands.ask_for_address(person, email, now())
    return render(request, "accounts/address_sent.html", {"email": email})


@require_http_methods(pages.METHODS)
@pages.for_person
def address_confirm(request: HttpRequest, person: Person) -> HttpResponseBase:
    """Ask whether the address of the opened link is to be theirs, and make it so.

    Only the person who asked may say yes, signed in: else somebody could be led to vouch for a stranger's account.
    """
    found = reset.held(request, Purpose.ADDRESS)
    if found is None:
        return pages.say(request, pages.NO_LINK)
    if found.person_id != person.pk:
        return pages.say(request, _OTHER_PERSON)
    fixed = standing.obstacle(person, standing.ADDRESS)
    if standing.leaves_its_domain(person, found.email):
        return pages.say(request, pages.NO_LINK)
    if fixed is not None and found.email != person.email:
        return _fixed(request, "Your email", fixed)
    error = _take(found) if request.method == "POST" else None
    if request.method == "POST" and error is None:
        del request.session[reset.HELD]
        return redirect("account")
    page = {"email": found.email, "person": person, "error": error}
    return render(request, "accounts/address_confirm.html", page, status=200 if error is None else 409)


def _take(found: LinkCode) -> KeysteadError | None:
    try:
        before = accounts.take_address(found, now())
    except KeysteadError as error:
        return error
    if before != found.email:
        post(letter(before, "address_changed"))
    return None


def _fixed(request: HttpRequest, title: str, obstacle: standing.Obstacle) -> HttpResponse:
    text = f"{obstacle.sentence} {obstacle.hint}"
    return pages.say(request, Message(403, f"{title} is not changed here", text, "account", "To your account"))


@require_safe
@pages.for_person
def sessions(request: HttpRequest, person: Person) -> HttpResponse:
    """List the browsers that the person is signed in with."""
    key = browser_sessions.is_this_one(request)
    this = set(browser_sessions.living(person, now()).filter(key).values_list("pk", flat=True))
    rows = [
        {
            "wire_id": ids.dump("browser_session", one.public_id),
            "name": browsers.described(one.user_agent),
            "session": one,
            "is_this": one.pk in this,
            "ends_at": browser_sessions.ends_at(one),
        }
        for one in browser_sessions.living(person, now())
    ]
    server = settings.KEYSTEAD
    page = {"rows": rows, "hours": server.browser_session_hours, "minutes": server.browser_session_idle_minutes}
    return render(request, "accounts/sessions.html", page)


@require_POST
@pages.for_person
def end_session(_request: HttpRequest, person: Person, session_id: str) -> HttpResponseBase:
    """End one; one that has ended meanwhile is no error."""
    try:
        key = ids.parse("browser_session", session_id)
    except ValueError:
        return redirect("sessions")
    browser_sessions.end(browser_sessions.living(person, now()).filter(public_id=key), person, now())
    return redirect("sessions")


@require_POST
@pages.for_person
def end_other_sessions(request: HttpRequest, person: Person) -> HttpResponseBase:
    """End all but the one that asks."""
    others = browser_sessions.living(person, now()).exclude(browser_sessions.is_this_one(request))
    browser_sessions.end(others, person, now())
    return redirect("sessions")
