"""The groups of an organization: who is in them, and what depends on them."""

from functools import wraps
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST

from keystead.errors import UsageError
from keystead.server.console.access import for_those_who, now
from keystead.server.form_errors import explain, status_of
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.groups import LONGEST_NAME
from keystead.server.organizations.models import Group, Membership
from keystead.server.organizations.roles import Permission
from keystead.server.people import groups, members

_METHODS = ["GET", "HEAD", "POST"]

for_readers = for_those_who(members.require_reading)
for_administrators = for_those_who(members.require)


class NameForm(forms.Form):
    """What a group is called."""

    name = forms.CharField(label="Name", max_length=LONGEST_NAME, widget=forms.TextInput(attrs={"autocomplete": "off"}))


class MemberForm(forms.Form):
    """Whom to put into a group."""

    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))


def about_one(view: Any) -> Any:
    """Decorate a page about one group of the reader's own organization, which the page gets as third argument."""

    @wraps(view)
    def found(request: HttpRequest, by: Membership, group_id: str, **kwargs: str) -> HttpResponseBase:
        group = groups.find(by, group_id)
        if group is None:
            raise Http404
        return view(request, by, group, **kwargs)  # type: ignore[no-any-return]

    return found


@require_http_methods(_METHODS)
@for_readers
def overview(request: HttpRequest, by: Membership) -> HttpResponseBase:
    """List the groups, and make one."""
    if request.method == "POST":
        members.require(by)
    form = NameForm(request.POST or None)
    if form.is_valid():
        try:
            made = groups.create(by, form.cleaned_data["name"], now())
        except UsageError as error:
            explain(form, error)
        else:
            return redirect("group", made.wire_id)
    page = {"form": form, "groups": groups.all_of(by), "may_manage": _may_manage(by)}
    return render(request, "console/groups.html", page, status=status_of(form))


@require_http_methods(_METHODS)
@for_readers
@about_one
def group(request: HttpRequest, by: Membership, group: Group) -> HttpResponseBase:
    """Show a group; give it another name."""
    if request.method == "POST":
        members.require(by)
    form = NameForm(request.POST or None, initial={"name": group.name})
    if form.is_valid():
        try:
            groups.rename(by, group, form.cleaned_data["name"], now())
        except UsageError as error:
            explain(form, error)
        else:
            return redirect("group", group.wire_id)
    return _show(request, by, group, form, MemberForm())


@require_POST
@for_administrators
@about_one
def add(request: HttpRequest, by: Membership, group: Group) -> HttpResponseBase:
    """Put a member into a group."""
    form = MemberForm(request.POST)
    if form.is_valid():
        try:
            groups.add(by, group, form.cleaned_data["email"], now())
        except UsageError as error:
            explain(form, error)
        else:
            return redirect("group", group.wire_id)
    return _show(request, by, group, NameForm(initial={"name": group.name}), form)


@require_POST
@for_administrators
@about_one
def take_out(_request: HttpRequest, by: Membership, group: Group, member_id: str) -> HttpResponseBase:
    """Take a member out of a group."""
    member = members.find(by, member_id)
    if member is None:
        raise Http404
    groups.take_out(by, group, member.membership, now())
    return redirect("group", group.wire_id)


@require_http_methods(_METHODS)
@for_administrators
@about_one
def remove(request: HttpRequest, by: Membership, group: Group) -> HttpResponseBase:
    """Say what depends on a group and ask, then remove it."""
    if request.method == "POST":
        groups.remove(by, group, now())
        return redirect("groups")
    page = {"group": group, "policies": groups.policies_for(group), "kept_by": groups.kept_by(group)}
    return render(request, "console/group_remove.html", page)


def _show(
    request: HttpRequest, by: Membership, group: Group, form: forms.Form, member_form: forms.Form
) -> HttpResponse:
    listed = members.page(by, after=request.GET.get("after", ""), group=group)
    kept_by = groups.kept_by(group)
    page = {
        "group": group,
        "kept_by": kept_by,
        "form": form,
        "member_form": member_form,
        "listed": listed.members,
        "is_first": "after" not in request.GET,
        "following": urlencode({"after": listed.following}) if listed.following else "",
        "policies": groups.policies_for(group),
        "may_manage": _may_manage(by) and not kept_by,
    }
    return render(request, "console/group.html", page, status=status_of(form, member_form))


def _may_manage(by: Membership) -> bool:
    return organizations.may(by, Permission.MEMBERS_MANAGE)
