"""What people type about their own account."""

from typing import Any

from django import forms

from keystead.server.identity import passwords


def _new_password() -> forms.CharField:
    return forms.CharField(
        label="New password",
        max_length=passwords.LONGEST,
        strip=False,
        help_text=passwords.HELP,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


def _current_password() -> forms.CharField:
    return forms.CharField(
        label="Current password",
        max_length=passwords.LONGEST,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class ForgottenForm(forms.Form):
    """Asks for a link."""

    email = forms.EmailField(label="Email", widget=forms.EmailInput(attrs={"autocomplete": "username"}))


class LinkForm(forms.Form):
    """Takes the code that a link carries; a script moves it here from the address."""

    code = forms.CharField(
        label="Code from the link",
        max_length=200,
        help_text="It starts with ksl_ and stands at the end of the link. It works once, for one hour.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )


class ResetForm(forms.Form):
    """Takes a new password from somebody who followed a link."""

    password = _new_password()
    ends_sign_ins = forms.BooleanField(label="Sign out all of these programs too", required=False, initial=True)

    def __init__(self, *args: Any, has_sign_ins: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not has_sign_ins:
            del self.fields["ends_sign_ins"]


class PasswordForm(forms.Form):
    """Takes a new password from somebody who knows the current one."""

    current = _current_password()
    password = _new_password()


class AddressForm(forms.Form):
    """Asks for another address."""

    email = forms.EmailField(label="New email", widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    current = _current_password()
