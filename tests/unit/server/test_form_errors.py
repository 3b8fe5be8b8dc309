"""What the domain refuses is said beside the field it is about, in the words of the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keystead.errors import KeysteadError, PolicyDenied, UsageError

if TYPE_CHECKING:
    from django.forms import Form


@pytest.fixture
def form(migrated: Path) -> "Form":
    """Return a form that was filled in."""
    from django import forms

    class Filled(forms.Form):
        name = forms.CharField(label="Name")
        base_url = forms.CharField(label="Address")

    filled = Filled({"name": "Ours", "base_url": "https://llm.example.com"})
    assert filled.is_valid()
    return filled


@pytest.mark.parametrize(
    ("error", "fields", "field", "said"),
    [
        (UsageError("It is taken.", hint="Choose another.", field="name"), {}, "name", "It is taken. Choose another."),
        (UsageError("base_url is missing: no usual one."), {}, "base_url", "Address is missing: no usual one."),
        (UsageError("name: too long."), {}, "name", "Name: too long."),
        (UsageError("scope: not for a key."), {"scope": "name"}, "name", "scope: not for a key."),
        (UsageError("Elsewhere.", field="absent"), {}, "__all__", "Elsewhere."),
        (UsageError("Somebody changed it meanwhile."), {}, "__all__", "Somebody changed it meanwhile."),
        (PolicyDenied("Your role may not.", hint="Ask."), {}, "__all__", "Your role may not. Ask."),
    ],
)
def test_an_error_stands_beside_its_field(
    form: "Form", error: KeysteadError, fields: Mapping[str, str], field: str, said: str
) -> None:
    from keystead.server.form_errors import explain, status_of

    assert status_of(form) == 200
    explain(form, error, fields)
    assert form.errors == {field: [said]}
    assert form["name"].value() == "Ours"
    assert status_of(form) == 422
