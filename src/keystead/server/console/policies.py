"""Managed settings per group: written, ordered and previewed by an organization's administrator."""

import json
from functools import wraps
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from keystead.errors import KeysteadError
from keystead.server.console.access import for_those_who, now
from keystead.server.form_errors import explain, status_of
from keystead.server.organizations.models import Membership
from keystead.server.people import members
from keystead.server.people.members import Member
from keystead.server.policies import operations, simulation
from keystead.server.policies.models import Policy
from keystead.server.policies.operations import Draft
from keystead.wire import ids

_SHOWN = 20
"""Members to choose among, at most."""
PLAIN = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}


class PolicyForm(forms.Form):
    """What a policy says, and whom it is for."""

    name = forms.CharField(label="Name", max_length=100, widget=forms.TextInput(attrs=PLAIN))
    groups = forms.MultipleChoiceField(
        label="For members of",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Any of these groups. With no group and no domain it is the base, which everybody is given.",
    )
    email_domain = forms.CharField(
        label="With an e-mail address at",
        max_length=253,
        required=False,
        help_text="Such as example.com; empty means any.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    settings = forms.CharField(
        label="Managed settings (JSON)",
        help_text="The agent's own document: permissions, hooks, env and what else it knows. The gateway refuses "
        'models outside availableModels, such as ["sonnet", "haiku"]; without it all are allowed, with [] none. '
        "Everybody it is for can read it, so no secrets.",
        widget=forms.Textarea(attrs={"rows": 14, "class": "code", **PLAIN}),
    )
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, member: Membership, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._member = member
        chooser = self.fields["groups"]
        assert isinstance(chooser, forms.MultipleChoiceField)
        chooser.choices = [(ids.dump("group", one.pk), one.name) for one in operations.groups_of(member)]
        if not chooser.choices:
            del self.fields["groups"]

    @property
    def draft(self) -> Draft:
        """What was typed."""
        given = self.cleaned_data
        groups = tuple(operations.groups_of(self._member, given.get("groups", ())))
        return Draft(given["name"], given["settings"], groups, given["email_domain"])


for_administrators = for_those_who(operations.require)


def about_one(view: Any) -> Any:
    """Decorate a page about one policy of the administrator's own organization."""

    @for_administrators
    @wraps(view)
    def found(request: HttpRequest, member: Membership, policy_id: str) -> HttpResponseBase:
        policy = operations.find(member, policy_id)
        if policy is None:
            raise Http404
        return view(request, member, policy)  # type: ignore[no-any-return]

    return found


@require_safe
@for_administrators
def overview(request: HttpRequest, member: Membership) -> HttpResponse:
    """List the policies in their order; with ``as``, also what one member is given."""
    page: dict[str, Any] = {"policies": operations.all_of(member), "asked": request.GET.get("as", "").strip()}
    if page["asked"]:
        page["found"] = found = _meant(member, page["asked"])
        if len(found) == 1:
            page |= _given(found[0].membership)
    return render(request, "console/policies.html", page)


def _meant(by: Membership, asked: str) -> list[Member]:
    """Return whom somebody means by an identifier, by an address, or by how an address or a name begins."""
    exactly = members.find(by, asked)
    if exactly is not None:
        return [exactly]
    found = members.page(by, asked).members
    same = [one for one in found if one.membership.person.email == asked.lower()]
    return same or found[:_SHOWN]


def _given(chosen: Membership) -> dict[str, Any]:
    delivery = operations.delivery_to(chosen)
    document = "" if delivery is None else json.dumps(delivery.settings, indent=2, ensure_ascii=False)
    return {"asked": chosen.person.email, "chosen": chosen, "delivery": delivery, "document": document}


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def create(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Write a new policy."""
    form = PolicyForm(member, request.POST or None, initial={"settings": "{}"})
    page: dict[str, Any] = {"form": form}
    if form.is_valid():
        try:
            if "preview" not in request.POST:
                operations.create(member, form.draft, now())
                return redirect("policies")
            page |= _outcome(member, None, form)
        except KeysteadError as error:
            explain(form, error)
    return render(request, "console/policy.html", page, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@about_one
def edit(request: HttpRequest, member: Membership, policy: Policy) -> HttpResponseBase:
    """Change a policy: each change is a new version."""
    initial = {
        "name": policy.name,
        "groups": [ids.dump("group", one.pk) for one in policy.groups.all()],
        "email_domain": policy.email_domain,
        "settings": json.dumps(policy.settings, indent=2, ensure_ascii=False),
        "version": policy.version,
    }
    form = PolicyForm(member, request.POST or None, initial=initial)
    versions = policy.versions.select_related("author__person").order_by("-version")
    page = {"form": form, "policy": policy, "versions": versions}
    if form.is_valid():
        try:
            if "preview" not in request.POST:
                operations.update(member, policy, form.draft, form.cleaned_data["version"] or 0, now())
                return redirect("policies")
            page |= _outcome(member, policy, form)
        except KeysteadError as error:
            explain(form, error)
    return render(request, "console/policy.html", page, status=status_of(form))


def _outcome(member: Membership, policy: Policy | None, form: PolicyForm) -> dict[str, Any]:
    """Return what a page says of a draft that is not saved yet."""
    return {"outcome": simulation.outcome(member, policy, form.draft, now()), "days": simulation.DAYS}


@require_POST
@about_one
def move(request: HttpRequest, member: Membership, policy: Policy) -> HttpResponseBase:
    """Ask a policy one place earlier or later."""
    operations.move(member, policy, request.POST.get("to") == "earlier", now())
    return redirect("policies")


@require_http_methods(["GET", "HEAD", "POST"])
@about_one
def remove(request: HttpRequest, member: Membership, policy: Policy) -> HttpResponseBase:
    """Ask before a policy is removed, then remove it."""
    if request.method == "POST":
        operations.remove(member, policy, now())
        return redirect("policies")
    return render(request, "console/policy_remove.html", {"policy": policy})
