"""Inviting somebody, for administrators; accepting it, for whoever has the link.

The code travels in the address's fragment, which no browser sends: a script moves it into a form. From then on the
browser's session remembers the code's hash, so that somebody may sign in between.
"""

from secrets import token_bytes
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from keystead.errors import CredentialRejected, KeysteadError, PolicyDenied, UsageError
from keystead.server import client_address, counters
from keystead.server.console.access import for_those_who, now
from keystead.server.form_errors import explain, status_of
from keystead.server.identity import letters, passwords
from keystead.server.identity.models import Person
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Group, GroupSource, Invitation, Membership
from keystead.server.organizations.roles import Role
from keystead.server.people import invitations, members
from keystead.server.people.invitations import Made, Maker
from keystead.wire import ids

TOO_MANY = 429
_METHODS = ["GET", "HEAD", "POST"]
_CODE: Final = "invitation"

WRONG_CODES: Final = counters.Limit("wrong-invitations", 10, 600)
"""Per address. A code has 256 random bits and cannot be guessed; this keeps those who try from costing anything."""

for_administrators = for_those_who(members.require)


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    role = forms.ChoiceField(label="Role", initial=Role.DEVELOPER.value)
    groups = forms.MultipleChoiceField(label="Groups", required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, by: Membership, data: Any = None) -> None:
        super().__init__(data)
        self._groups = {ids.dump("group", one.pk): one for one in _groups(by)}
        role, groups = self.fields["role"], self.fields["groups"]
        assert isinstance(role, forms.ChoiceField)
        assert isinstance(groups, forms.MultipleChoiceField)
        role.choices = [(one.value, one.value) for one in members.roles_given_by(by)]
        groups.choices = [(wire_id, one.name) for wire_id, one in self._groups.items()]
        if not groups.choices:
            del self.fields["groups"]

    @property
    def chosen(self) -> list[Group]:
        """The groups that were ticked."""
        return [self._groups[wire_id] for wire_id in self.cleaned_data.get("groups", ())]


class CodeForm(forms.Form):
    """Takes the code out of the link."""

    code = forms.CharField(
        label="Invitation code",
        max_length=200,
        help_text="It stands at the end of the link that you were given, and starts with ksv_.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )


class NewcomerForm(forms.Form):
    """Makes somebody's account."""

    name = forms.CharField(label="Your name", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    password = forms.CharField(
        label="Password",
        max_length=passwords.LONGEST,
        strip=False,
        help_text=passwords.HELP,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


@require_http_methods(_METHODS)
@for_administrators
def overview(request: HttpRequest, by: Membership) -> HttpResponse:
    """List the open invitations, and make one: the answer is the only page that ever shows its link."""
    form = InviteForm(by, request.POST or None)
    if form.is_valid():
        given = form.cleaned_data
        try:
            made = invitations.invite(_maker(by), given["email"], Role(given["role"]), form.chosen, now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return _show_link(request, made)
    page = {"form": form, "invitations": invitations.open_of(by), "now": now(), "sends": letters.are_sent()}
    return render(request, "console/invitations.html", page, status=status_of(form))


@require_POST
@for_administrators
def renew(request: HttpRequest, by: Membership, invitation_id: str) -> HttpResponse:
    """Make a new link; the old one ends."""
    return _show_link(request, invitations.renew(_maker(by), _found(by, invitation_id), now()))


@require_POST
@for_administrators
def revoke(_request: HttpRequest, by: Membership, invitation_id: str) -> HttpResponseBase:
    """End an invitation."""
    invitations.revoke(by, _found(by, invitation_id), now())
    return redirect("invitations")


def _found(by: Membership, invitation_id: str) -> Invitation:
    found = invitations.find(by, invitation_id)
    if found is None:
        raise Http404
    return found


def _maker(by: Membership) -> Maker:
    return Maker(by.organization, by, letters.are_sent(), token_bytes)


def _show_link(request: HttpRequest, made: Made) -> HttpResponse:
    if made.mailed is not None:
        letters.invite(made.invitation.email, link(made.mailed.reveal()), invitations.LIFETIME.days)
    page = {"invitation": made.invitation, "link": link(made.code.reveal()), "is_sent": made.mailed is not None}
    return render(request, "console/invitation_made.html", page)


def link(code: str) -> str:
    """Return the address to hand on; the code stands in the fragment, which a browser never sends."""
    return f"{settings.KEYSTEAD.base_url}{reverse('invitation')}#code={code}"


def _groups(by: Membership) -> Any:
    own = Group.objects.filter(organization=by.organization, source=GroupSource.CONSOLE.value)
    return own.order_by("name")


@sensitive_post_parameters("code")
@require_http_methods(_METHODS)
def enter(request: HttpRequest) -> HttpResponseBase:
    """Take the code, and remember in this browser that it was shown."""
    form = CodeForm(request.POST or None)
    if not form.is_valid():
        status = status_of(form)
        return render(request, "console/invitation.html", {"form": form}, status=status)
    address = client_address.counted_as(str(request.META.get("REMOTE_ADDR", "")))
    if counters.used_up(WRONG_CODES, address):
        return _refuse(request, "Too many invitations were tried from this address.", "Wait ten minutes.", TOO_MANY)
    digest = invitations.digest(form.cleaned_data["code"])
    try:
        invitations.look_up(digest, now())
    except CredentialRejected as error:
        counters.count(WRONG_CODES, address)
        return _refuse(request, error.message, error.hint)
    request.session[_CODE] = digest.hex()
    return redirect("invitation_accept")


@sensitive_post_parameters("password")
@require_http_methods(_METHODS)
def accept(request: HttpRequest) -> HttpResponseBase:
    """Say who invites whom, and let the person in: newly, or as who is signed in."""
    digest = bytes.fromhex(str(request.session.get(_CODE, "")))
    if not digest:
        return redirect("invitation")
    try:
        invitation = invitations.look_up(digest, now())
        if isinstance(request.user, Person):
            return _accept_signed_in(request, invitation, digest, request.user)
        return _accept_newcomer(request, invitation, digest)
    except (CredentialRejected, PolicyDenied) as error:
        return _refuse(request, error.message, error.hint)


def _accept_signed_in(request: HttpRequest, invitation: Invitation, digest: bytes, person: Person) -> HttpResponseBase:
    is_theirs = person.email == invitation.email
    if request.method == "POST" and is_theirs:
        invitations.accept_as(digest, person, now())
        del request.session[_CODE]
        return redirect("overview")
    acting = organizations.membership_of(person)
    is_elsewhere = acting is not None and acting.organization_id != invitation.organization_id
    page = {"invitation": invitation, "is_theirs": is_theirs, "acting": acting if is_elsewhere else None}
    return render(request, "console/invitation_join.html", page, status=200 if is_theirs else 403)


def _accept_newcomer(request: HttpRequest, invitation: Invitation, digest: bytes) -> HttpResponseBase:
    elsewhere = invitations.needs_single_sign_on(invitation.email)
    if elsewhere or invitations.is_known(invitation.email):
        here = reverse("invitation_accept")
        asked = urlencode({"next": here, "login_hint": invitation.email})
        page = {
            "invitation": invitation,
            "is_elsewhere": elsewhere,
            "sign_in": f"{reverse('sso' if elsewhere else 'account_login')}?{asked}",
        }
        return render(request, "console/invitation_sign_in.html", page)
    form = NewcomerForm(request.POST or None)
    if form.is_valid():
        try:
            given = form.cleaned_data
            member = invitations.accept_as_newcomer(digest, given["name"], given["password"], now())
        except UsageError as error:
            explain(form, error)
        else:
            login(request, member.person, backend=settings.AUTHENTICATION_BACKENDS[0])
            request.session.pop(_CODE, None)
            return redirect("overview")
    page = {"form": form, "invitation": invitation}
    return render(request, "console/invitation_new.html", page, status=status_of(form))


def _refuse(request: HttpRequest, message: str, hint: str | None, status: int = 403) -> HttpResponse:
    """Show the one page for whatever is wrong with an invitation."""
    page = {"message": message, "hint": hint, "form": CodeForm()}
    return render(request, "console/invitation_refused.html", page, status=status)
