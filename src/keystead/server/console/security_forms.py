"""What people type and what their browser answers on the page of sign-in factors."""

import json
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any, Final

from django import forms

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.factors import authenticator_apps
from keystead.server.identity.models import Person
from keystead.server.sealing import seal, unseal

CODE_ATTRIBUTES: Final = {
    "autocomplete": "one-time-code",
    "inputmode": "text",
    "spellcheck": "false",
    "autocapitalize": "characters",
}
_WHILE: Final = timedelta(minutes=30)


class AppForm(forms.Form):
    """Adds an authenticator app.

    The secret travels in the form, sealed for this person and half an hour, so that nothing is stored before a code
    has proved that the app has it.

    Attributes:
        secret: of this form: the one shown before, or a new one.
        is_stale: what was sent was open for too long, or somebody else's; this is a new form.
    """

    sealed = forms.CharField(widget=forms.HiddenInput, max_length=2000)
    code = forms.CharField(
        label="Six-digit code from the app",
        max_length=20,
        widget=forms.TextInput(attrs={**CODE_ATTRIBUTES, "inputmode": "numeric"}),
    )

    def __init__(self, person: Person, now: datetime, data: Any = None) -> None:
        self._purpose = f"authenticator app to be added by {person.pk}"
        self._now = now
        shown = None if data is None else self._opened(str(data.get("sealed", "")))
        self.is_stale = data is not None and shown is None
        self.secret = shown or authenticator_apps.new_secret(token_bytes)
        super().__init__(None if self.is_stale else data)
        until = (now + _WHILE).timestamp()
        self.initial["sealed"] = seal(self._purpose, Secret(json.dumps([self.secret.reveal(), until])))

    @property
    def grouped(self) -> str:
        """The secret as people type it into an app without a camera."""
        text = self.secret.reveal()
        return " ".join(text[start : start + 4] for start in range(0, len(text), 4))

    def _opened(self, sealed: str) -> Secret | None:
        """Return the secret in a form of this person's that is new enough, else None."""
        try:
            secret, until = json.loads(unseal(self._purpose, sealed).reveal())
        except (ConfigurationError, ValueError, TypeError):
            return None
        return Secret(secret) if self._now.timestamp() < until else None


class PasskeyForm(forms.Form):
    """Keeps the passkey that the browser made."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        required=False,
        help_text="To tell it from others, such as “laptop” or “password manager”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    credential = forms.CharField(widget=forms.HiddenInput(attrs={"data-passkey-answer": ""}), max_length=50_000)

    def clean_credential(self) -> Any:
        """Return what the browser answered, as JSON that nothing is known of yet."""
        try:
            return json.loads(self.cleaned_data["credential"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError("The browser sent no passkey. Try again.") from error


class CodeForm(forms.Form):
    """The second step of signing in."""

    code = forms.CharField(
        label="Code",
        max_length=100,
        help_text="Six digits from your authenticator app, or one of your recovery codes.",
        widget=forms.TextInput(attrs={**CODE_ATTRIBUTES, "autofocus": True}),
    )
