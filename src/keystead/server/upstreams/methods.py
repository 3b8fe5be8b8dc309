"""How each kind of upstream can be shown who asks: one table, and what is wrong with what somebody typed.

Pure. A field of a secret takes the secret itself or a reference to it (``env:``, ``file:``, ``exec:`` …), which
:mod:`~keystead.server.upstreams.references` holds to what the operator has allowed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from keystead.credentials import lint
from keystead.credentials.rules import VENDOR_SUBSCRIPTION, is_vendor_subscription, refusal
from keystead.errors import UsageError
from keystead.server.upstream_shape import Kind
from keystead.sources import references

LONGEST: Final = 16_384
_WORD: Final = re.compile(r"[\x21-\x7e]{1,500}")
_GOOGLE: Final = re.compile(r"https://(?:[a-z0-9-]+\.)+googleapis\.com/[\w/.-]*")
_SERVICE_ACCOUNT: Final = ("client_email", "private_key", "token_uri")


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a method needs to know.

    Attributes:
        label: what a person calls it.
        required: whether the method does nothing without it.
        secret: whether it is never shown again, and may be a reference.
        form: what the whole of it must look like, where that is known.
        needs: another field without which it means nothing.
        help: a sentence below the field.
    """

    name: str
    label: str
    required: bool = True
    secret: bool = False
    form: re.Pattern[str] = _WORD
    needs: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to prove who asks.

    Attributes:
        machine: the identity of the server's own machine that it uses, as a reference; the operator must allow it.
    """

    id: str
    label: str
    fields: tuple[Field, ...] = ()
    machine: str = ""


_KEY: Final = Field("key", "API key", secret=True)
_API_KEY: Final = Method("api_key", "API key", (_KEY,))
_BEARER: Final = Method("bearer", "Bearer token", (Field("key", "Token", secret=True),))
_NONE: Final = Method("none", "No credential")
_ROLE: Final = (
    Field(
        "role_arn",
        "Role to assume",
        required=False,
        form=re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}"),
        help="Such as arn:aws:iam::123456789012:role/models.",
    ),
    Field("external_id", "External id", required=False, needs="role_arn"),
)
_ACCESS_KEYS: Final = Method(
    "access_keys",
    "AWS access key",
    (
        Field("access_key_id", "Access key id", form=re.compile(r"[A-Z0-9]{16,128}")),
        Field("secret_access_key", "Secret access key", secret=True),
        Field("session_token", "Session token", required=False, secret=True),
        *_ROLE,
    ),
)
_AWS_CHAIN: Final = Method(
    "chain",
    "The server's own AWS identity",
    (
        Field(
            "profile", "Profile", required=False, form=re.compile(r"[\w.@+-]{1,128}"), help="Of the server's AWS files."
        ),
        *_ROLE,
    ),
    machine="chain:aws",
)
_WORKLOAD: Final = Method(
    "workload_identity",
    "Workload identity",
    (
        Field("federation_rule_id", "Federation rule", help="As the vendor's console shows it, fdrl_…"),
        Field("organization_id", "Organization id"),
        Field("service_account_id", "Service account", required=False),
        Field("workspace_id", "Workspace", required=False),
        Field(
            "identity_token",
            "Identity token",
            secret=True,
            help="A reference to the token that the platform mounts, such as file:/var/run/secrets/token.",
        ),
    ),
)
_SERVICE_ACCOUNT_JSON: Final = Method(
    "service_account",
    "Service account key",
    (
        Field(
            "service_account_json",
            "Key file (JSON)",
            secret=True,
            help="The whole file that Google Cloud gave you, or a reference such as file:/run/secrets/key.json.",
        ),
    ),
)
_ENTRA: Final = Method(
    "entra",
    "Entra application",
    (
        Field("tenant_id", "Tenant id", form=re.compile(r"[\w.-]{1,253}")),
        Field("client_id", "Client id", form=re.compile(r"[\w-]{1,64}")),
        Field("client_secret", "Client secret", secret=True),
    ),
)

METHODS: Final[Mapping[Kind, tuple[Method, ...]]] = {
    Kind.ANTHROPIC: (_API_KEY, _WORKLOAD),
    Kind.AWS: (_API_KEY, _ACCESS_KEYS, _AWS_CHAIN),
    Kind.BEDROCK: (_API_KEY, _ACCESS_KEYS, _AWS_CHAIN),
    Kind.VERTEX: (
        _SERVICE_ACCOUNT_JSON,
        Method("chain", "The server's own Google identity", machine="chain:google"),
    ),
    Kind.FOUNDRY: (_API_KEY, _ENTRA, Method("chain", "The server's own Entra identity", machine="chain:entra")),
    Kind.MESSAGES: (_API_KEY, _BEARER, _NONE),
    Kind.OPENAI: (_BEARER, _API_KEY, _NONE),
}

HEADERS: Final[Mapping[tuple[Kind, str], str]] = {
    (Kind.ANTHROPIC, "api_key"): "x-api-key",
    (Kind.AWS, "api_key"): "x-api-key",
    (Kind.BEDROCK, "api_key"): "authorization",
    (Kind.FOUNDRY, "api_key"): "api-key",
    (Kind.MESSAGES, "api_key"): "x-api-key",
    (Kind.MESSAGES, "bearer"): "authorization",
    (Kind.OPENAI, "api_key"): "x-api-key",
    (Kind.OPENAI, "bearer"): "authorization",
}
"""In which header a key stands, where a key is all there is; the other methods sign, or fetch tokens."""


def method_of(kind: Kind, method: str) -> Method:
    """Return the row.

    Raises:
        UsageError: the kind has no such method.
    """
    found = next((one for one in METHODS[kind] if one.id == method), None)
    if found is None:
        raise UsageError(
            f"An upstream of the kind {kind.value} takes no credential of the kind {method}.",
            hint=f"It takes: {', '.join(one.id for one in METHODS[kind])}.",
        )
    return found


def checked(kind: Kind, method: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the fields as they are kept; what is empty is left out.

    Raises:
        UsageError: a field is missing, unknown or not what it should be; the message names it.
        MalformedSecret: a secret cannot be sent.
        PolicyDenied: it is a credential that may not be an upstream's.
    """
    row = method_of(kind, method)
    known = {field.name: field for field in row.fields}
    values = {name: value.strip() for name, value in given.items() if value.strip()}
    for name in values.keys() - known.keys():
        raise UsageError(f"{name} does not belong to {row.label}.", hint=f"It has: {', '.join(known) or 'no field'}.")
    for field in row.fields:
        if field.required and field.name not in values:
            raise UsageError(
                f"{field.name} is missing: {row.label} needs {_enumerated(row)}.", hint=f"Enter {field.label}."
            )
        if field.needs and field.name in values and field.needs not in values:
            raise UsageError(f"{field.name} means nothing without {field.needs}.", hint=f"Enter {field.needs} too.")
        if field.name in values:
            values[field.name] = _checked_value(field, values[field.name])
    return values


def _enumerated(row: Method) -> str:
    *first, last = [field.name for field in row.fields if field.required]
    return f"{', '.join(first)} and {last}" if first else last


def _checked_value(field: Field, value: str) -> str:
    if field.secret and references.is_reference(value):
        return value
    if field.name == "identity_token":
        raise UsageError(
            "identity_token is not a reference: the platform replaces the token every hour or so.",
            hint="Write where it is, such as file:/var/run/secrets/token.",
        )
    if field.name == "service_account_json":
        return check_service_account(value)
    if field.secret:
        lint.clean(value, field.name)
        check_lawful(value, field.name)
        return value
    if not field.form.fullmatch(value):
        raise UsageError(f"{field.name} is not what a {field.label.lower()} looks like.", hint="Copy it again.")
    return value


def check_lawful(value: str, name: str) -> None:
    """Refuse the token of a vendor's subscription, whatever it is entered as (the legal wall).

    Raises:
        PolicyDenied: it is one.
    """
    if is_vendor_subscription(value):
        raise refusal(
            VENDOR_SUBSCRIPTION,
            name,
            alternative="Enter an API key from the vendor's console, or use a cloud.",
            move="administrator",
        )


def check_service_account(text: str) -> str:
    """Return a service account's key file; one of another type could send this server anywhere, or start programs.

    Raises:
        UsageError: it is not the key of a Google service account.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _not_an_account("it is not JSON") from error
    if not isinstance(document, dict) or document.get("type") != "service_account":
        raise _not_an_account("its type is not service_account")
    for name in _SERVICE_ACCOUNT:
        if not isinstance(document.get(name), str) or not document[name]:
            raise _not_an_account(f"{name} is missing")
    if not _GOOGLE.fullmatch(document["token_uri"]) or urlsplit(document["token_uri"]).port is not None:
        raise _not_an_account("its token_uri is not Google's")
    if len(text) > LONGEST:
        raise _not_an_account(f"it is longer than {LONGEST} characters")
    return text


def _not_an_account(reason: str) -> UsageError:
    return UsageError(
        f"service_account_json is not the key of a Google service account: {reason}.",
        hint="Paste the whole file that Google Cloud gave you.",
    )
