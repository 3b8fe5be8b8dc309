"""What an administrator types to register a client."""

import json
from typing import Any, Final

from django import forms

from keystead.server.authorization import registry
from keystead.server.authorization.checks.scopes import MEANINGS
from keystead.server.authorization.models import AuthMethod
from keystead.server.authorization.registry import Registration
from keystead.server.keys import service_accounts
from keystead.server.organizations.models import Membership

PLAIN: Final = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}


class ClientForm(forms.Form):
    """Registers a client."""

    name = forms.CharField(
        label="Name",
        max_length=200,
        help_text="People see it when the program asks to sign them in.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    auth_method = forms.ChoiceField(label="It proves who it is by", choices=AuthMethod.choices)
    grant_types = forms.MultipleChoiceField(
        label="It may", choices=list(registry.GRANTS.items()), widget=forms.CheckboxSelectMultiple
    )
    redirect_uris = forms.CharField(
        label="Redirect addresses",
        required=False,
        max_length=10_000,
        help_text="One a line; only to sign people in with a browser. They are compared exactly.",
        widget=forms.Textarea(attrs={"rows": 2, **PLAIN}),
    )
    backchannel_logout_uri = forms.CharField(
        label="Logout address",
        required=False,
        max_length=2_000,
        help_text="Where it is told that a sign-in has ended (OpenID Connect Back-Channel Logout).",
        widget=forms.TextInput(attrs={"inputmode": "url", **PLAIN}),
    )
    backchannel_logout_session_required = forms.BooleanField(
        label="It must be told which sign-in ended", required=False, help_text="Only with a logout address."
    )
    scope = forms.MultipleChoiceField(
        label="It may ask to",
        choices=list(MEANINGS.items()),
        initial=["openid", "profile", "email", "offline_access"],
        widget=forms.CheckboxSelectMultiple,
    )
    first_party = forms.BooleanField(
        label="It is our own program",
        required=False,
        help_text="Only these may use models in a person's name; other programs use a service account or an API key.",
    )
    service_account = forms.ChoiceField(
        label="It stands for", required=False, help_text="When it asks in its own name. Make one under Workloads."
    )
    may_act_for = forms.MultipleChoiceField(
        label="It may act for people who are signed in to",
        required=False,
        help_text="Only with token exchange.",
        widget=forms.CheckboxSelectMultiple,
    )
    require_pushed_requests = forms.BooleanField(
        label="It must push its sign-in requests",
        required=False,
        help_text="Then nobody at the browser can read or change what it asks for (RFC 9126).",
    )
    dpop_bound = forms.BooleanField(
        label="It must sign its token requests",
        required=False,
        help_text="Then a stolen token is useless without its key (DPoP, RFC 9449).",
    )
    jwks = forms.CharField(
        label="Its public keys (JWK set)",
        required=False,
        max_length=100_000,
        help_text="Only for a client that signs.",
        widget=forms.Textarea(attrs={"rows": 3, **PLAIN}),
    )

    def __init__(self, member: Membership, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._accounts = {one.wire_id: one for one in service_accounts.list_for(member).filter(disabled_at=None)}
        self._choose(
            "service_account", [("", "No service account"), *((key, str(one)) for key, one in self._accounts.items())]
        )
        self._choose("may_act_for", [(one.client_id, one.name) for one in registry.may_be_acted_for(member)])

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def clean_jwks(self) -> dict[str, Any] | None:
        """Return the keys that were pasted."""
        text = self.cleaned_data["jwks"].strip()
        if not text:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError("This is not JSON.") from error
        if not isinstance(found, dict):
            raise forms.ValidationError("This is not a JWK set.")
        return found

    def registration(self) -> Registration:
        """Return what was typed."""
        given = self.cleaned_data
        return Registration(
            name=given["name"],
            auth_method=AuthMethod(given["auth_method"]),
            grant_types=given["grant_types"],
            redirect_uris=[line.strip() for line in given["redirect_uris"].splitlines() if line.strip()],
            backchannel_logout_uri=given["backchannel_logout_uri"],
            backchannel_logout_session_required=given["backchannel_logout_session_required"],
            scope=" ".join(given["scope"]),
            jwks=given["jwks"],
            first_party=given["first_party"],
            service_account=self._accounts.get(given["service_account"]),
            may_act_for=given["may_act_for"],
            require_pushed_requests=given["require_pushed_requests"],
            dpop_bound=given["dpop_bound"],
        )
