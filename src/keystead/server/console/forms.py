"""What people type into the console."""

from datetime import datetime, timedelta
from typing import Any, Final

from allauth.account.forms import LoginForm
from django import forms
from django.conf import settings

from keystead.server.factors import passkeys
from keystead.server.identity import operations as identity
from keystead.server.identity import passwords
from keystead.server.keys.models import Purpose
from keystead.server.keys.operations import RIGHT_TO_CREATE
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership

LIFETIMES: Final = (("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("", "No expiry"))


class SignInForm(LoginForm):
    """Allauth's form without its placeholders, which only repeat the labels and vanish when one types."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)
        if self.request is not None:  # whom the program expects that sent the person here (OpenID Connect)
            self.initial.setdefault("login", self.request.GET.get("login_hint", "")[:254])

    @property
    def needs_setup(self) -> bool:
        """Whether nobody can sign in yet, because the server has no administrator."""
        return not identity.administrator_exists()

    @property
    def passkeys_possible(self) -> bool:
        """Whether browsers take passkeys for this server's address."""
        return passkeys.are_possible(settings.KEYSTEAD.base_url)


class SetupForm(forms.Form):
    """Makes the first administrator."""

    code = forms.CharField(
        label="Set-up code",
        max_length=200,
        help_text="The server printed it in its terminal. It starts with kss_ and works once.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )
    organization = forms.CharField(
        label="Organization", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
    name = forms.CharField(label="Your name", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(label="Email", widget=forms.EmailInput(attrs={"autocomplete": "username"}))
    password = forms.CharField(
        label="Password",
        max_length=passwords.LONGEST,
        strip=False,
        help_text=passwords.HELP,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class KeyForm(forms.Form):
    """Creates an API key."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="Where it will be used, such as “build server”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    purpose = forms.ChoiceField(label="May be used by", choices=Purpose.choices, initial=Purpose.AGENT)
    lifetime = forms.ChoiceField(label="Expires after", choices=LIFETIMES, initial="90", required=False)

    def __init__(self, member: Membership, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.purposes = [one for one in Purpose if organizations.may(member, RIGHT_TO_CREATE[one])]
        purpose = self.fields["purpose"]
        assert isinstance(purpose, forms.ChoiceField)
        purpose.choices = [(one.value, one.label) for one in self.purposes]

    def expires_at(self, now: datetime) -> datetime | None:
        """Return when the new key ends, or None for never."""
        days = self.cleaned_data["lifetime"]
        return now + timedelta(days=int(days)) if days else None
