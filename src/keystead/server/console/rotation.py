"""Replacing a key's secret while the old one goes on for a while, and ending that one sooner (G-05)."""

from datetime import timedelta
from secrets import token_bytes
from typing import Any, Final

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from keystead.errors import KeysteadError
from keystead.server.console.access import for_members, now
from keystead.server.form_errors import explain, status_of
from keystead.server.keys import operations as api_keys
from keystead.server.keys import rotation
from keystead.server.keys.models import ApiKey
from keystead.server.organizations.models import Membership

OVERLAPS: Final = (("3600", "1 hour"), ("86400", "1 day"), ("604800", "7 days"), ("0", "No time: it ends at once"))


class RotationForm(forms.Form):
    """How long the secret of now goes on."""

    overlap = forms.ChoiceField(
        label="The secret of now works for",
        choices=OVERLAPS,
        initial="86400",
        help_text="As long as it takes to put the new one everywhere. “At once” if somebody else may know it.",
    )

    def __init__(self, *args: Any, overlaps: bool, **more: Any) -> None:
        super().__init__(*args, **more)
        if overlaps:  # a third secret cannot be, so both have to end
            choice = self.fields["overlap"]
            assert isinstance(choice, forms.ChoiceField)
            choice.label, choice.choices, choice.initial = "Both secrets of now work for", OVERLAPS[-1:], "0"
            choice.help_text = "End the old one first to have the newer one go on for a while."


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def rotate_key(request: HttpRequest, member: Membership, key_id: str) -> HttpResponseBase:
    """Ask how long two secrets are to work, then show the new one: the only page that ever does."""
    key = _found(member, key_id)
    overlaps = rotation.overlaps(key, now())
    form = RotationForm(request.POST or None, overlaps=overlaps)
    if form.is_valid():
        overlap = timedelta(seconds=int(form.cleaned_data["overlap"]))
        try:
            secret = rotation.rotate(key, member, overlap, now=now(), random_bytes=token_bytes)
        except KeysteadError as error:
            explain(form, error)
        else:
            page = {"key": key, "secret": secret.reveal(), "base_url": settings.KEYSTEAD.base_url, "rotated": True}
            return render(request, "console/key_created.html", page)
    page = {
        "form": form,
        "key": key,
        "is_mine": key.member_id == member.id,
        "overlaps": overlaps,
    }
    return render(request, "console/key_rotate.html", page, status=status_of(form))


@require_POST
@for_members
def end_old_secret(_request: HttpRequest, member: Membership, key_id: str) -> HttpResponseBase:
    """End the old secret before its time."""
    rotation.end_old(_found(member, key_id), member, now())
    return redirect("rotate_key", key_id)


def _found(member: Membership, key_id: str) -> ApiKey:
    key = api_keys.find(member, key_id)
    if key is None:
        raise Http404
    return key
