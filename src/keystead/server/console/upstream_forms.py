"""What an administrator types to connect an upstream."""

from typing import Any, Final

from django import forms

from keystead.errors import UsageError
from keystead.server.cloud_names import PROFILES, REGION_ALONE
from keystead.server.upstream_shape import Kind
from keystead.server.upstreams import addresses, methods
from keystead.server.upstreams.methods import Field, Method
from keystead.server.upstreams.models import Upstream
from keystead.server.upstreams.operations import Draft

PLAIN: Final = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}

KINDS: Final = {
    Kind.ANTHROPIC: ("Anthropic API", "With an API key of the vendor's console, or a workload's identity."),
    Kind.AWS: ("Claude Platform on AWS", "The vendor's own platform, billed through AWS."),
    Kind.BEDROCK: ("Amazon Bedrock", "Claude models of an AWS account."),
    Kind.VERTEX: ("Google Vertex AI", "Claude models of a Google Cloud project."),
    Kind.FOUNDRY: ("Microsoft Foundry", "Claude deployments of an Azure resource."),
    Kind.MESSAGES: ("Messages API", "Any other address that speaks the Messages API."),
    Kind.OPENAI: ("OpenAI API", "Any address that speaks OpenAI's API."),
}
"""What a person calls each kind, and a sentence."""


def _profile_label(prefix: str, where: str) -> str:
    """Return what a person chooses; Amazon's own word for it is told, as its console shows that one."""
    label = where[0].upper() + where[1:]
    return f"{label} ({prefix}.)" if prefix and prefix != REGION_ALONE else label


class UpstreamForm(forms.Form):
    """Where an upstream is, and what it is asked for; the rules are the domain's."""

    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="As the usage ledger and messages call it.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    region = forms.CharField(
        label="Region",
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs=PLAIN),
    )
    profile = forms.ChoiceField(
        label="Where requests may be processed",
        choices=[(prefix, _profile_label(prefix, where)) for prefix, where in PROFILES.items()],
        required=False,
        help_text="The inference profile that is put before each model's identifier.",
    )
    project = forms.CharField(
        label="Project",
        max_length=64,
        required=False,
        help_text="Id of the Google Cloud project that is billed.",
        widget=forms.TextInput(attrs=PLAIN),
    )
    base_url = forms.CharField(
        label="Address", max_length=addresses.LONGEST, required=False, widget=forms.TextInput(attrs=PLAIN)
    )
    models = forms.CharField(
        label="Names for models",
        max_length=100_000,
        required=False,
        help_text="Where it calls a model otherwise than is usual there. One per line, ours = theirs.",
        widget=forms.Textarea(attrs={"rows": 3, "class": "code", **PLAIN}),
    )
    serves = forms.CharField(
        label="Models it is asked for",
        max_length=100_000,
        required=False,
        help_text="One per line, such as sonnet or claude-haiku-4-5; empty for all.",
        widget=forms.Textarea(attrs={"rows": 3, "class": "code", **PLAIN}),
    )
    headers = forms.CharField(
        label="Headers of its own",
        max_length=100_000,
        required=False,
        help_text="One per line, name: value. No credentials here.",
        widget=forms.Textarea(attrs={"rows": 2, "class": "code", **PLAIN}),
    )
    first_byte_seconds = forms.FloatField(
        label="Seconds it may think",
        required=False,
        help_text="Until its answer begins; then the next upstream is asked. Empty for 600.",
    )
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, kind: Kind, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if kind not in addresses.REGIONAL:
            del self.fields["region"]
        else:
            self.fields["region"].help_text = f"Such as {addresses.sample_region(kind)}."
        if kind is not Kind.BEDROCK:
            del self.fields["profile"]
        if kind is not Kind.VERTEX:
            del self.fields["project"]
        usual = addresses.usual(kind, "REGION")
        self.fields["base_url"].help_text = f"Empty for {usual}." if usual else f"Such as {addresses.sample(kind)}."
        if kind is Kind.AWS:
            self.initial.setdefault("headers", f"{addresses.WORKSPACE_HEADER}: ")

    def clean_models(self) -> dict[str, str]:
        """Return the pairs."""
        return _pairs(self.cleaned_data["models"], "=", "ours = theirs")

    def clean_serves(self) -> tuple[str, ...]:
        """Return the entries."""
        return tuple(line.strip() for line in self.cleaned_data["serves"].splitlines() if line.strip())

    def clean_headers(self) -> dict[str, str]:
        """Return the lines."""
        return _pairs(self.cleaned_data["headers"], ":", "name: value")

    @property
    def draft(self) -> Draft:
        """What was typed."""
        given = self.cleaned_data
        return Draft(
            given["name"],
            given["base_url"],
            given.get("region", ""),
            given.get("project", ""),
            given["models"],
            given["serves"],
            given["headers"],
            given["first_byte_seconds"],
            given.get("profile", ""),
        )


def as_typed(upstream: Upstream) -> dict[str, Any]:
    """Return the initial values of :class:`UpstreamForm`."""
    return {
        "name": upstream.name,
        "base_url": upstream.base_url,
        "region": upstream.region,
        "profile": upstream.profile,
        "project": upstream.project,
        "models": "\n".join(f"{ours} = {theirs}" for ours, theirs in upstream.model_names.items()),
        "serves": "\n".join(upstream.serves),
        "headers": "\n".join(f"{name}: {value}" for name, value in upstream.headers.items()),
        "first_byte_seconds": upstream.first_byte_seconds,
        "version": upstream.version,
    }


def _pairs(text: str, sign: str, form: str) -> dict[str, str]:
    try:
        return addresses.pairs(text.splitlines(), sign, form)
    except UsageError as error:
        raise forms.ValidationError(error.message) from error


class CredentialForm(forms.Form):
    """The fields of one method, as its row of the table has them; a secret is never shown again."""

    def __init__(self, method: Method, kept: dict[str, str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = [field.name for field in method.fields]
        for field in method.fields:
            self.fields[field.name] = _field(field)
            if not field.secret:
                self.initial.setdefault(field.name, kept.get(field.name, ""))

    @property
    def given(self) -> dict[str, str]:
        """What was typed."""
        return {name: self.cleaned_data[name] for name in self.names}


def _field(field: Field) -> forms.CharField:
    help_text = field.help or ("The secret itself, or a reference such as env:NAME." if field.secret else "")
    widget: forms.Widget = forms.TextInput(attrs=PLAIN)
    if field.name == "service_account_json":
        widget = forms.Textarea(attrs={"rows": 6, "class": "code", **PLAIN})
    elif field.secret and field.name != "identity_token":
        widget = forms.PasswordInput(attrs=PLAIN)
    optional = "" if field.required else " (optional)"
    return forms.CharField(
        label=f"{field.label}{optional}",
        required=False,  # the domain says what is missing, in one place for pages and commands
        strip=True,
        max_length=methods.LONGEST,
        help_text=help_text,
        widget=widget,
    )
