"""What an administrator types to set single sign-on up, and what a person types to use it."""

from typing import Any, Final

from django import forms

from keystead.server.organizations.roles import Role
from keystead.server.sso.admission import Rules
from keystead.server.sso.models import Connection
from keystead.server.sso.oidc_settings import OidcSettings
from keystead.server.sso.saml_settings import SamlSettings
from keystead.server.sso.xml_signature import LARGEST

PLAIN: Final = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
ROLES: Final = [(role.value, role.value.replace("_", " ")) for role in Role]


class AddressForm(forms.Form):
    """Finds the connection of a person."""

    email = forms.EmailField(label="Work e-mail", widget=forms.EmailInput(attrs={"autocomplete": "username"}))


class DomainForm(forms.Form):
    """Claims an e-mail domain."""

    domain = forms.CharField(
        label="E-mail domain", max_length=253, help_text="What stands after the @.", widget=forms.TextInput(attrs=PLAIN)
    )


class NewOidcForm(forms.Form):
    """Finds an OpenID provider."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="As people call it, such as “Example login”.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    issuer = forms.CharField(
        label="Issuer",
        max_length=500,
        help_text="The address before /.well-known/openid-configuration, such as https://login.example.com.",
        widget=forms.URLInput(attrs=PLAIN),
    )


class NewSamlForm(forms.Form):
    """Reads a SAML identity provider's metadata, from wherever the administrator has them."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="As people call it, such as “Example login”.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    url = forms.CharField(
        label="Address of its metadata", max_length=500, required=False, widget=forms.URLInput(attrs=PLAIN)
    )
    file = forms.FileField(label="or the metadata as a file", required=False)
    text = forms.CharField(
        label="or the metadata as text",
        required=False,
        max_length=LARGEST,
        widget=forms.Textarea(attrs={"rows": 4, **PLAIN}),
    )

    def clean(self) -> dict[str, Any]:
        """Check that there is one source."""
        given = super().clean() or {}
        if sum(bool(given.get(name)) for name in ("url", "file", "text")) != 1:
            raise forms.ValidationError("Give the metadata in one of the three ways.")
        return given


class RulesForm(forms.Form):
    """Who comes in, and as what; the end of the form of every kind of connection."""

    admits = forms.BooleanField(
        label="Make people members at their first sign-in",
        required=False,
        help_text="Otherwise only those who are members already come in.",
    )
    default_role = forms.ChoiceField(label="Their role", choices=ROLES, help_text="Unless a group gives another one.")
    group_roles = forms.CharField(
        label="Roles by group",
        required=False,
        max_length=10_000,
        help_text="One per line, group = role, such as “admins = admin”. The first line that applies counts.",
        widget=forms.Textarea(attrs={"rows": 3, **PLAIN}),
    )
    needs_group = forms.BooleanField(label="Only people in one of these groups come in", required=False)

    def clean_group_roles(self) -> tuple[tuple[str, Role], ...]:
        """Return the pairs, in order."""
        pairs: list[tuple[str, Role]] = []
        for line in self.cleaned_data["group_roles"].splitlines():
            if not line.strip():
                continue
            group, sign, role = (part.strip() for part in line.rpartition("="))
            if not (sign and group and role in set(Role)):
                raise forms.ValidationError(f"“{line.strip()[:60]}” is not group = role. Roles: {', '.join(Role)}.")
            pairs.append((group, Role(role)))
        return tuple(pairs)

    def rules(self) -> Rules:
        """Return what was decided."""
        given = self.cleaned_data
        return Rules(
            admits=given["admits"],
            default_role=Role(given["default_role"]),
            group_roles=given["group_roles"],
            needs_group=given["needs_group"],
        )


def rules_as_typed(connection: Connection) -> dict[str, Any]:
    """Return the initial values of :class:`RulesForm`."""
    rules = Rules.from_json(connection.rules)
    return {
        "admits": rules.admits,
        "default_role": rules.default_role.value,
        "group_roles": "\n".join(f"{group} = {role.value}" for group, role in rules.group_roles),
        "needs_group": rules.needs_group,
    }


class OidcForm(RulesForm):
    """The rest of an OpenID Connect connection."""

    client_id = forms.CharField(label="Client id", max_length=300, widget=forms.TextInput(attrs=PLAIN))
    client_secret = forms.CharField(
        label="Client secret",
        max_length=1000,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    scope = forms.CharField(
        label="Scopes",
        max_length=500,
        help_text="Separated by spaces; openid and email are needed.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    groups_claim = forms.CharField(
        label="Claim with the groups",
        max_length=200,
        required=False,
        help_text="The name of a claim, or a JSON pointer such as /realm_access/roles.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    asks_consent = forms.BooleanField(
        label="Ask for consent at each sign-in",
        required=False,
        help_text="Some providers give a refresh token only then. With one, Keystead asks again and again whether "
        "somebody is still welcome; without, a sign-in ends after 12 hours.",
    )
    field_order = (
        "client_id",
        "client_secret",
        "scope",
        "groups_claim",
        "asks_consent",
        "admits",
        "default_role",
        "group_roles",
        "needs_group",
    )

    def __init__(self, connection: Connection, *args: Any, **kwargs: Any) -> None:
        self.kept = OidcSettings.from_json(connection.settings)
        initial = {
            "client_id": self.kept.client_id,
            "scope": " ".join(self.kept.scope),
            "groups_claim": self.kept.groups_claim,
            "asks_consent": self.kept.asks_consent,
            **rules_as_typed(connection),
        }
        kwargs["initial"] = initial
        super().__init__(*args, **kwargs)
        if connection.sealed_secret:
            self.fields["client_secret"].help_text = "One is kept. Leave this empty to keep it."
        else:
            self.fields["client_secret"].help_text = "Kept encrypted, and never shown again."

    def clean_scope(self) -> tuple[str, ...]:
        """Return the scopes."""
        scope = tuple(dict.fromkeys(self.cleaned_data["scope"].split()))
        if "openid" not in scope:
            raise forms.ValidationError("Without the scope openid it is no sign-in.")
        return scope


class SamlForm(RulesForm):
    """The rest of a SAML connection."""

    email_attribute = forms.CharField(
        label="Attribute with the e-mail address",
        max_length=300,
        required=False,
        help_text="Empty for the usual names, or the name identifier where that is an address.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    name_attribute = forms.CharField(
        label="Attribute with the name",
        max_length=300,
        required=False,
        help_text="Empty for the usual names.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    groups_attribute = forms.CharField(
        label="Attribute with the groups", max_length=300, required=False, widget=forms.TextInput(attrs=PLAIN)
    )
    takes_unasked = forms.BooleanField(
        label="Let people start at the identity provider",
        required=False,
        help_text="From its list of applications. Keystead then asks them to confirm before they are signed in.",
    )
    metadata = forms.CharField(
        label="Newer metadata",
        required=False,
        max_length=LARGEST,
        help_text="When the identity provider changes its address or certificate. Empty keeps what is there.",
        widget=forms.Textarea(attrs={"rows": 3, **PLAIN}),
    )
    field_order = (
        "email_attribute",
        "name_attribute",
        "groups_attribute",
        "takes_unasked",
        "admits",
        "default_role",
        "group_roles",
        "needs_group",
        "metadata",
    )

    def __init__(self, connection: Connection, *args: Any, **kwargs: Any) -> None:
        self.kept = SamlSettings.from_json(connection.settings)
        names = ("email_attribute", "name_attribute", "groups_attribute", "takes_unasked")
        kwargs["initial"] = {**{name: getattr(self.kept, name) for name in names}, **rules_as_typed(connection)}
        super().__init__(*args, **kwargs)

    def chosen(self) -> dict[str, Any]:
        """Return the settings that were typed, without metadata."""
        given = self.cleaned_data
        return {
            "email_attribute": given["email_attribute"].strip(),
            "name_attribute": given["name_attribute"].strip(),
            "groups_attribute": given["groups_attribute"].strip(),
            "takes_unasked": given["takes_unasked"],
        }
