"""What a form says when the domain refuses what was typed: the same on every page."""

from collections.abc import Mapping
from typing import Final

from django.forms import Form

from keystead.errors import KeysteadError, UsageError

UNPROCESSABLE: Final = 422


def explain(form: Form, error: KeysteadError, fields: Mapping[str, str] | None = None) -> None:
    """Show an error beside the field that it is about, called as the page calls it; else above all fields.

    Args:
        form: what was typed; it keeps that.
        error: says its field by itself, or begins with the name of one.
        fields: the form's names of fields that the domain calls otherwise.
    """
    said = f"{error.message} {error.hint}" if error.hint else error.message
    begins = error.message.split(maxsplit=1)[0].rstrip(":")
    name = (error.field or begins) if isinstance(error, UsageError) else begins
    name = (fields or {}).get(name, name)
    field = form.fields.get(name)
    if field is not None and begins == name and field.label:
        said = f"{field.label}{said.removeprefix(name)}"
    form.add_error(None if field is None else name, said)


def status_of(*forms: Form) -> int:
    """Return the HTTP status of a page with these forms."""
    return UNPROCESSABLE if any(form.errors for form in forms) else 200
