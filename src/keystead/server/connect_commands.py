"""``keystead server upstream-add``, ``upstream-change`` and ``upstream-remove``: the console's forms, for scripts.

What may be entered is said by the same operations. A secret never stands on the command line, which everybody on the
machine can read: it comes on standard input, or as a reference that the operator allows.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.environment import Environment
from keystead.errors import UsageError
from keystead.server.command_base import opened, settings_of, with_overrides
from keystead.server.settings import ServerSettings
from keystead.server.upstream_commands import facts, line
from keystead.server.upstream_shape import Kind

if TYPE_CHECKING:
    from keystead.server.upstreams.models import Upstream
    from keystead.server.upstreams.operations import Draft, Operator

SCHEMA: Final = "keystead.upstream/1"
_WAYS: Final = (
    "api_key", "bearer", "access_keys", "chain", "service_account", "entra", "workload_identity", "none",
)  # fmt: skip
_OPTIONS: Final = (
    click.option("--base-url", metavar="URL", help="Where it is; without it the vendor's or cloud's own address."),
    click.option("--region", help="Of a cloud."),
    click.option("--project", help="Of Google Cloud, the one that is billed."),
    click.option("--profile", help="Of Amazon Bedrock: the inference profile before each model's identifier."),
    click.option("--model", "models", multiple=True, metavar="OURS=THEIRS", help="Where it calls a model otherwise."),
    click.option("--serves", multiple=True, metavar="MODEL", help="A model it is asked for; without any, every model."),
    click.option(
        "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header of its own; no credential."
    ),
    click.option("--first-byte-seconds", type=float, metavar="SECONDS", help="How long it may think; 600 unless set."),
    click.option(
        "--credential",
        type=click.Choice(_WAYS),
        help="How it is shown who asks. The secret is read from standard input, unless --with refers to it.",
    ),
    click.option(
        "--with",
        "fields",
        multiple=True,
        metavar="NAME=VALUE",
        help="A field of the credential that is no secret, or for one a reference, such as key=file:/run/secrets/key.",
    ),
    click.option("--position", type=int, metavar="NUMBER", help="Its place in the order; 1 is asked first."),
    click.option("--on/--off", "enabled", default=None, help="Whether requests go there."),
    click.option("--organization", help="Whose, by name, when there are several organizations."),
    click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}."),
)
_PLAIN: Final = ("base_url", "region", "project", "profile", "first_byte_seconds")
_CLEARED: Final[Mapping[str, tuple[str, Any]]] = {
    "model": ("models", {}),
    "serves": ("serves", ()),
    "header": ("headers", {}),
    "first-byte-seconds": ("first_byte_seconds", None),
    "profile": ("profile", ""),
}
"""What can be taken away: its option, and the part of a draft with what is there then."""


def _described(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that describe an upstream."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the command line says of an upstream; None and nothing where it does not."""

    draft: Mapping[str, Any]
    credential: str | None
    fields: tuple[str, ...]
    position: int | None
    enabled: bool | None

    @classmethod
    def taken(cls, given: dict[str, Any]) -> "_Wanted":
        """Take the options out of ``given``."""
        draft = {name: value for name in _PLAIN if (value := given.pop(name)) is not None}
        lists = {name: given.pop(name) for name in ("models", "serves", "headers")}
        draft |= {name: value for name, value in lists.items() if value}
        rest = {name: given.pop(name) for name in ("credential", "fields", "position", "enabled")}
        return cls(draft, **rest)

    def drafted(self, before: "Draft") -> "Draft":
        """Return ``before`` with what is said here.

        Raises:
            UsageError: an entry has not the form it should have.
        """
        from keystead.server.upstreams import addresses

        said = dict(self.draft)
        if "models" in said:
            said["models"] = addresses.pairs(said["models"], "=", "--model OURS=THEIRS")
        if "headers" in said:
            said["headers"] = addresses.pairs(said["headers"], ":", "--header NAME:VALUE")
        return replace(before, **said)

    def secret(self, kind: Kind) -> dict[str, str] | None:
        """Return the fields of the credential, the secret read from standard input; None where none is set.

        Raises:
            UsageError: a field is not given as it should be; the message names it.
        """
        from keystead.server.upstreams import addresses, methods
        from keystead.sources.references import is_reference

        if self.credential is None:
            if self.fields:
                raise UsageError("--with is about a credential.", hint="Say of which kind with --credential.")
            return None
        row = methods.method_of(kind, self.credential)
        given = addresses.pairs(self.fields, "=", "--with NAME=VALUE")
        for field in row.fields:
            if field.secret and field.name in given and not is_reference(given[field.name]):
                raise UsageError(
                    f"{field.name} is a secret, and others on this machine can read what stands on the command line.",
                    hint="Give it on standard input, or refer to it: env:NAME, file:/PATH. Replace this one.",
                )
        for field in row.fields:
            if field.secret and field.required and field.name not in given:
                given[field.name] = _typed(field.name, field.label, methods.LONGEST)
        return given


def _typed(name: str, label: str, longest: int) -> str:
    """Return a secret from standard input, where it is not shown."""
    if sys.stdin is not None and sys.stdin.isatty():
        return str(click.prompt(label, hide_input=True, err=True))
    text = "" if sys.stdin is None else sys.stdin.read(longest + 1)
    if not text.strip() or len(text) > longest:
        fault = "is empty" if not text.strip() else f"has more than {longest} characters"
        raise UsageError(f"{name}: standard input {fault}.", hint=f"Give it the {label.lower()}, and nothing else.")
    return text


@click.command("upstream-add")
@click.argument("kind", type=click.Choice([one.value for one in Kind]))
@click.option("--name", required=True, help="As the usage ledger and messages call it.")
@_described
def upstream_add(kind: str, name: str, organization: str | None, *, wants_json: bool, **given: Any) -> None:
    """Connect an upstream of that KIND to an organization, last in the order unless --position says otherwise.

    Without --credential nothing is sent there yet. Running servers take it up within 15 seconds; upstream-test asks it.
    """
    wanted = _Wanted.taken(given)
    settings = settings_of(Environment.capture(), **given)
    now = opened(given)
    from django.db import transaction

    from keystead.server.organizations import operations as organizations
    from keystead.server.upstreams import operations

    by = operations.Operator(organizations.named(organization))
    fields = wanted.secret(Kind(kind))
    with transaction.atomic():
        draft = wanted.drafted(operations.Draft(name))
        upstream = operations.create(by, Kind(kind), draft, settings, now)
        _apply(by, upstream, wanted, fields, settings, now)
    _print(by, upstream, wants_json=wants_json)


@click.command("upstream-change")
@click.argument("name")
@click.option("--name", "new_name", help="What it is called from now on.")
@click.option("--clear", multiple=True, type=click.Choice([*_CLEARED]), help="Take this away; may be repeated.")
@_described
def upstream_change(name: str, organization: str | None, *, wants_json: bool, **given: Any) -> None:
    """Change the upstream NAME; what is not given stays as it is.

    Each of --model, --serves and --header replaces all that there are. With an address on another host the credential
    is forgotten, unless --credential gives the one for there.
    """
    new_name, cleared = given.pop("new_name"), {_CLEARED[one][0]: _CLEARED[one][1] for one in given.pop("clear")}
    wanted = _Wanted.taken(given)
    settings = settings_of(Environment.capture(), **given)
    now = opened(given)
    from django.db import transaction

    from keystead.server.organizations import operations as organizations
    from keystead.server.upstreams import operations

    by = operations.Operator(organizations.named(organization))
    upstream = operations.named(by.organization, name)
    before, seen = operations.draft_of(upstream), upstream.version
    draft = wanted.drafted(replace(before, name=new_name or before.name, **cleared))
    draft = operations.at_usual_address(upstream, draft) if "base_url" not in wanted.draft else draft
    fields = wanted.secret(Kind(upstream.kind))
    if draft == before and fields is None and wanted.position is None and wanted.enabled is None:
        raise UsageError("Nothing is to be changed.", hint="Say what, with the options that --help lists.")
    with transaction.atomic():
        if draft != before:
            operations.change(by, upstream, draft, seen, settings, now)
        _apply(by, upstream, wanted, fields, settings, now)
    _print(by, upstream, wants_json=wants_json)


@click.command("upstream-remove")
@click.argument("name")
@click.option("--organization", help="Whose, by name, when there are several organizations.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
def upstream_remove(name: str, organization: str | None, *, wants_json: bool, **given: Any) -> None:
    """Remove the upstream NAME with its credential; usage that went there keeps its name.

    Running servers let go of it within 15 seconds. After an organization's last one, requests go to the server's own.
    """
    now = opened(given)
    from keystead.server.organizations import operations as organizations
    from keystead.server.upstreams import operations

    by = operations.Operator(organizations.named(organization))
    upstream = operations.named(by.organization, name)
    gone = facts(upstream)
    operations.remove(by, upstream, now)
    if wants_json:
        _print_json(by, removed=gone)
        return
    click.echo(f"Removed: {gone['name']}")


def _apply(
    by: "Operator",
    upstream: "Upstream",
    wanted: _Wanted,
    fields: dict[str, str] | None,
    settings: ServerSettings,
    now: datetime,
) -> None:
    from keystead.server.upstreams import operations

    if fields is not None and wanted.credential is not None:
        operations.set_credential(by, upstream, wanted.credential, fields, settings, now)
    if wanted.enabled is not None:
        operations.switch(by, upstream, on=wanted.enabled, now=now)
    if wanted.position is not None:
        operations.place(by, upstream, wanted.position, now)


def _print(by: "Operator", upstream: "Upstream", *, wants_json: bool) -> None:
    if wants_json:
        _print_json(by, upstream=facts(upstream))
        return
    click.echo(line(upstream))


def _print_json(by: "Operator", **told: Any) -> None:
    document = {"schema": SCHEMA, "organization": by.organization.name, **told}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


COMMANDS: Final = (upstream_add, upstream_change, upstream_remove)
for _command in COMMANDS:
    with_overrides(_command)
