"""The members of an organization: who they are, what they may do, and whether they still belong to it."""

from functools import wraps
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from keystead.errors import KeysteadError
from keystead.server.console.access import for_those_who, now
from keystead.server.factors import operations as factors
from keystead.server.form_errors import explain, status_of
from keystead.server.identity import browser_sessions
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission, Role
from keystead.server.people import members
from keystead.server.people.members import Member
from keystead.server.suspensions import operations as suspensions

_METHODS = ["GET", "HEAD", "POST"]

for_readers = for_those_who(members.require_reading)
for_administrators = for_those_who(members.require)


class RoleForm(forms.Form):
    """What a member may do."""

    role = forms.ChoiceField(label="Role")

    def __init__(self, by: Membership, subject: Membership, data: Any = None) -> None:
        super().__init__(data, initial={"role": subject.role})
        chooser = self.fields["role"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = [(role.value, role.value) for role in members.roles_given_by(by)]


def about_one(view: Any) -> Any:
    """Decorate a page about one member of the reader's own organization, whom the page gets as third argument."""

    @wraps(view)
    def found(request: HttpRequest, by: Membership, member_id: str) -> HttpResponseBase:
        subject = members.find(by, member_id)
        if subject is None:
            raise Http404
        return view(request, by, subject)  # type: ignore[no-any-return]

    return found


@require_safe
@for_readers
def overview(request: HttpRequest, by: Membership) -> HttpResponse:
    """List the members, some at a time; an address or name narrows the list down."""
    search, state = request.GET.get("q", "")[:254], request.GET.get("state", "")
    state = state if state in members.STATES else next(iter(members.STATES))
    listed = members.page(by, search, state, request.GET.get("after", ""))
    same = {"q": search, "state": state}
    page = {
        "listed": listed.members,
        "search": search,
        "state": state,
        "states": members.STATES.items(),
        "is_first": "after" not in request.GET,
        "first": urlencode(same),
        "following": urlencode({**same, "after": listed.following}) if listed.following else "",
        "by": by,
        "may_manage": organizations.may(by, Permission.MEMBERS_MANAGE),
    }
    return render(request, "console/members.html", page)


@require_http_methods(_METHODS)
@for_readers
@about_one
def member(request: HttpRequest, by: Membership, subject: Member) -> HttpResponseBase:
    """Show one member; give them another role."""
    if request.method == "POST":
        members.require(by)
    form = RoleForm(by, subject.membership, request.POST or None)
    if form.is_valid():
        try:
            members.change_role(by, subject.membership, Role(form.cleaned_data["role"]), now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("member", subject.wire_id)
    page = {
        "form": form,
        "subject": subject,
        "is_oneself": subject.membership.pk == by.pk,
        "may_manage": organizations.may(by, Permission.MEMBERS_MANAGE),
        "suspended": suspensions.reason_for(by.organization_id, subject.wire_id),
        "browsers": browser_sessions.living(subject.membership.person, now()).count(),
        "has_factors": factors.has_any(subject.membership.person),
    }
    return render(request, "console/member.html", page, status=status_of(form))


@require_http_methods(_METHODS)
@for_administrators
@about_one
def end(request: HttpRequest, by: Membership, subject: Member) -> HttpResponseBase:
    """Ask before a membership is ended, then end it."""
    if request.method == "POST":
        members.end(by, subject.membership, now())
        return redirect("overview" if subject.membership.pk == by.pk else "members")
    page = {"subject": subject, "is_oneself": subject.membership.pk == by.pk}
    return render(request, "console/member_end.html", page)


@require_http_methods(_METHODS)
@for_administrators
@about_one
def forget_factors(request: HttpRequest, by: Membership, subject: Member) -> HttpResponseBase:
    """Ask before the second factors of somebody who lost them are removed, then remove them."""
    if request.method == "POST":
        members.forget_factors(by, subject.membership, now())
        return redirect("member", subject.wire_id)
    return render(request, "console/member_factors.html", {"subject": subject})


@require_POST
@for_administrators
@about_one
def end_sessions(request: HttpRequest, by: Membership, subject: Member) -> HttpResponseBase:  # noqa: ARG001
    """Sign a member out of every browser."""
    members.end_sessions(by, subject.membership, now())
    return redirect("member", subject.wire_id)


@require_POST
@for_administrators
@about_one
def bring_back(request: HttpRequest, by: Membership, subject: Member) -> HttpResponseBase:  # noqa: ARG001
    """Let a member act again."""
    members.bring_back(by, subject.membership, now())
    return redirect("member", subject.wire_id)
