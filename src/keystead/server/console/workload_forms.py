"""What an administrator types to let pipelines in without a stored secret."""

import json
from typing import Any, Final

from django import forms

from keystead.errors import UsageError
from keystead.server.keys import federation, service_accounts
from keystead.server.keys.federation import Issuer, Rule
from keystead.server.keys.models import KeySource
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Role
from keystead.server.policy.federation import Condition, parse_conditions

PLAIN: Final = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
LIFETIMES: Final = (("900", "15 minutes"), ("3600", "1 hour"))
SCOPES: Final = (("models:use", "Use models"),)


class AccountForm(forms.Form):
    """Makes a service account."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="After the pipeline that will act as it, such as “deploy”. It shows in the usage report.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    role = forms.ChoiceField(
        label="May do what members do who are",
        choices=[(role.value, role.value.replace("_", " ")) for role in service_accounts.ROLES],
    )

    @property
    def chosen_role(self) -> Role:
        """The role that was chosen."""
        return Role(self.cleaned_data["role"])


class IssuerForm(forms.Form):
    """Trusts another issuer."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="As your people call the platform, such as “GitHub Actions”.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    issuer_url = forms.CharField(
        label="Issuer",
        max_length=500,
        help_text="The iss of its tokens, exactly, such as https://token.actions.githubusercontent.com.",
        widget=forms.URLInput(attrs=PLAIN),
    )
    audience = forms.CharField(
        label="Audience",
        max_length=500,
        help_text="The aud that the pipeline asks its platform for. This server's address does well.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    key_source = forms.ChoiceField(label="Its public keys", choices=KeySource.choices, initial=KeySource.DISCOVERY)
    jwks_url = forms.CharField(
        label="Address of the keys",
        max_length=500,
        required=False,
        help_text="Only for keys with an address of their own.",
        widget=forms.URLInput(attrs=PLAIN),
    )
    jwks = forms.CharField(
        label="The keys (JWK set)",
        max_length=100_000,
        required=False,
        help_text="Only for keys that are pasted here, which an issuer that cannot be reached needs.",
        widget=forms.Textarea(attrs={"rows": 3, **PLAIN}),
    )
    ca_pem = forms.CharField(
        label="Certificate authority (PEM)",
        max_length=100_000,
        required=False,
        help_text="Only if its keys are served under a private authority, such as a cluster's.",
        widget=forms.Textarea(attrs={"rows": 3, **PLAIN}),
    )
    check_jti = forms.BooleanField(
        label="Each token works once",
        required=False,
        initial=True,
        help_text="Switch it off for a platform that leaves one token in a file for some time, such as Kubernetes.",
    )
    max_lifetime_seconds = forms.IntegerField(
        label="Longest life of its tokens, in seconds", min_value=1, max_value=federation.LONGEST_TOKEN, initial=3600
    )

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
            raise forms.ValidationError('This is not a JWK set: it begins with {"keys": […')
        return found

    def issuer(self) -> Issuer:
        """Return what was typed."""
        given = self.cleaned_data
        return Issuer(
            name=given["name"],
            issuer_url=given["issuer_url"].strip(),
            audience=given["audience"].strip(),
            key_source=KeySource(given["key_source"]),
            jwks_url=given["jwks_url"].strip(),
            jwks=given["jwks"],
            ca_pem=given["ca_pem"].strip(),
            check_jti=given["check_jti"],
            max_lifetime_seconds=given["max_lifetime_seconds"],
        )


class RuleForm(forms.Form):
    """Lets identities of an issuer act as a service account."""

    name = forms.CharField(label="Name", max_length=100, widget=forms.TextInput(attrs=PLAIN))
    issuer = forms.ChoiceField(label="Tokens of")
    conditions = forms.CharField(
        label="Whose claims say",
        max_length=10_000,
        help_text="One condition a line; all must hold. <code>repository = acme/app</code> is equal, "
        "<code>sub ^= repo:acme/</code> begins with, <code>ref ~= refs/heads/release-*</code> is like; "
        "<code>/kubernetes.io/namespace = ci</code> reaches into an object.",
        widget=forms.Textarea(attrs={"rows": 4, **PLAIN}),
    )
    service_account = forms.ChoiceField(label="Act as")
    scope = forms.ChoiceField(label="And may", choices=SCOPES)
    lifetime_seconds = forms.ChoiceField(label="For at most", choices=LIFETIMES, initial="3600")

    def __init__(self, member: Membership, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._issuers = {one.wire_id: one for one in federation.issuers_for(member).filter(disabled_at=None)}
        self._accounts = {one.wire_id: one for one in service_accounts.list_for(member).filter(disabled_at=None)}
        for name, rows in (("issuer", self._issuers), ("service_account", self._accounts)):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [(wire_id, str(row)) for wire_id, row in rows.items()]

    def clean_conditions(self) -> tuple[Condition, ...]:
        """Return the conditions, line by line."""
        try:
            return parse_conditions(self.cleaned_data["conditions"])
        except UsageError as error:
            raise forms.ValidationError(f"{error.message} {error.hint}") from error

    def rule(self) -> Rule:
        """Return what was typed."""
        given = self.cleaned_data
        return Rule(
            name=given["name"],
            issuer=self._issuers[given["issuer"]],
            service_account=self._accounts[given["service_account"]],
            conditions=given["conditions"],
            scope=given["scope"],
            lifetime_seconds=int(given["lifetime_seconds"]),
        )


class TokenForm(forms.Form):
    """Takes a token to try the rules on; it is neither kept nor shown again."""

    token = forms.CharField(
        label="Identity token",
        max_length=16_384,
        help_text="It is not kept, not used up and not shown again. Still, prefer one that expires soon.",
        widget=forms.Textarea(attrs={"rows": 4, **PLAIN}),
    )
