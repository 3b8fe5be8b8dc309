"""The page where an organization's administrators make the tokens with which programs register themselves."""

from datetime import timedelta
from secrets import token_bytes
from typing import Any, Final

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from keystead.errors import KeysteadError
from keystead.secret import Secret
from keystead.server.authorization import registration_tokens
from keystead.server.authorization.checks.scopes import MEANINGS
from keystead.server.authorization.metadata import REGISTRATION_PATH
from keystead.server.authorization.models import RegistrationToken
from keystead.server.authorization.registration_tokens import GRANTS, MOST_USES, SCOPE_OF_PEOPLE, Policy
from keystead.server.authorization.surroundings import issuer, now, server
from keystead.server.authorization.views.client_forms import PLAIN
from keystead.server.authorization.views.clients import NOT_YOURS
from keystead.server.authorization.views.devices import for_member
from keystead.server.authorization.views.pages import message, own_page_only, show
from keystead.server.form_errors import explain, status_of
from keystead.server.keys import service_accounts
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission

_METHODS = ["GET", "HEAD", "POST"]
LIFETIMES: Final = (("1", "1 day"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days"))


class TokenForm(forms.Form):
    """Makes a registration token."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="What it is for, such as “editors of the design team”.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    grant_types = forms.MultipleChoiceField(
        label="A program may register itself to",
        choices=list(GRANTS.items()),
        initial=["authorization_code", "refresh_token"],
        widget=forms.CheckboxSelectMultiple,
    )
    scope = forms.MultipleChoiceField(
        label="It may then ask to",
        choices=list(MEANINGS.items()),
        initial=SCOPE_OF_PEOPLE.split(),
        widget=forms.CheckboxSelectMultiple,
    )
    service_account = forms.ChoiceField(
        label="It stands for", required=False, help_text="When it asks in its own name. Make one under Workloads."
    )
    max_uses = forms.IntegerField(label="How many programs may register", min_value=1, max_value=MOST_USES, initial=1)
    lifetime = forms.ChoiceField(label="Expires after", choices=LIFETIMES, initial="7")

    def __init__(self, member: Membership, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._accounts = {one.wire_id: one for one in service_accounts.list_for(member).filter(disabled_at=None)}
        field = self.fields["service_account"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "No service account"), *((key, str(one)) for key, one in self._accounts.items())]

    def policy(self) -> Policy:
        """Return what was typed."""
        given = self.cleaned_data
        return Policy(
            name=given["name"],
            grant_types=given["grant_types"],
            scope=" ".join(given["scope"]),
            lifetime=timedelta(days=int(given["lifetime"])),
            max_uses=given["max_uses"],
            service_account=self._accounts.get(given["service_account"]),
        )


@require_http_methods(_METHODS)
@for_member
def registration(request: HttpRequest, member: Membership) -> HttpResponse:
    """List the tokens, and make one: the answer to that alone ever shows it."""
    if not organizations.may(member, Permission.CLIENTS_MANAGE):
        return message(request, NOT_YOURS)
    return _make(request, member) if request.method == "POST" else _page(request, member, TokenForm(member))


@own_page_only
def _make(request: HttpRequest, member: Membership) -> HttpResponse:
    form = TokenForm(member, request.POST)
    if form.is_valid():
        try:
            _, secret = registration_tokens.make(member, form.policy(), now(), token_bytes)
        except KeysteadError as error:
            explain(form, error)
        else:
            return _page(request, member, TokenForm(member), secret)
    return _page(request, member, form)


def _page(request: HttpRequest, member: Membership, form: TokenForm, secret: Secret | None = None) -> HttpResponse:
    moment = now()
    listed = [(one, registration_tokens.works(one, moment)) for one in registration_tokens.list_for(member)]
    content = {
        "form": form,
        "secret": None if secret is None else secret.reveal(),
        "tokens": listed,
        "is_on": server().dynamic_registration,
        "address": f"{issuer()}/{REGISTRATION_PATH}",
        "now": moment,
    }
    return show(request, "registration", content, status_of(form))


@require_http_methods(_METHODS)
@for_member
def revoke_token(request: HttpRequest, member: Membership, token_id: str) -> HttpResponse:
    """Ask before revoking a token, then revoke it."""
    token = registration_tokens.find(member, token_id)
    if token is None:
        raise Http404
    return _revoke(request, member, token) if request.method == "POST" else _ask(request, token)


def _ask(request: HttpRequest, token: RegistrationToken) -> HttpResponse:
    return show(request, "registration_revoke", {"token": token})


@own_page_only
def _revoke(request: HttpRequest, member: Membership, token: RegistrationToken) -> HttpResponse:
    revoked = registration_tokens.revoke(token, member, now())
    return redirect("registration_tokens") if revoked else _ask(request, token)
