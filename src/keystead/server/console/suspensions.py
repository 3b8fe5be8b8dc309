"""Suspending a key, a member or a service account with a reason, and lifting that (S-23); one page for all of them."""

from collections.abc import Callable
from typing import Final

from django import forms
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from keystead.errors import KeysteadError
from keystead.server.console.access import for_those_who, now
from keystead.server.form_errors import explain, status_of
from keystead.server.keys import operations as keys
from keystead.server.keys import service_accounts
from keystead.server.organizations.models import Membership
from keystead.server.people import members
from keystead.server.suspensions import operations as suspensions


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        label="Reason",
        max_length=suspensions.LONGEST,
        help_text="Whoever is refused reads it too.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


def _key(by: Membership, subject: str) -> str | None:
    found = keys.find(by, subject)
    return None if found is None else f"the key “{found.name}” of {found.member.person.email}"


def _member(by: Membership, subject: str) -> str | None:
    found = members.find(by, subject)
    return None if found is None else str(found.membership.person)


def _service_account(by: Membership, subject: str) -> str | None:
    found = service_accounts.find(by, subject)
    return None if found is None else f"the service account “{found.name}”"


_CALLED: Final[dict[str, tuple[Callable[[Membership, str], str | None], str]]] = {
    "key": (_key, "keys"),
    "mem": (_member, "members"),
    "svac": (_service_account, "workloads"),
}
"""By the prefix of the identifier: how to find and call it, and the page to go back to."""


@require_http_methods(["GET", "HEAD", "POST"])
@for_those_who(members.require_reading)
def suspension(request: HttpRequest, by: Membership, subject: str) -> HttpResponseBase:
    """Ask for a reason, then suspend; or lift what is suspended."""
    find, back = _CALLED.get(subject.partition("_")[0], (None, ""))
    called = None if find is None else find(by, subject)
    if called is None:
        raise Http404
    suspensions.require(by, subject)
    reason = suspensions.reason_for(by.organization_id, subject)
    form = ReasonForm(request.POST if request.POST and not reason else None)
    if reason and request.method == "POST":
        suspensions.lift(by, subject, now())
        return redirect(back)
    if form.is_valid():
        try:
            suspensions.suspend(by, subject, form.cleaned_data["reason"], now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect(back)
    page = {"called": called, "reason": reason, "form": form, "back": back}
    return render(request, "console/suspension.html", page, status=status_of(form))
