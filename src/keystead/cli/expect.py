"""``keystead expect``: declare who pays here; a credential of another purse is refused before it is used (B-05)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from keystead.cli.exits import sentence, visible
from keystead.cli.surroundings import Surroundings
from keystead.credentials import BillingClass
from keystead.errors import UsageError
from keystead.sources.expectation import PROVIDERS
from keystead.stores.expectations import FIELDS, Expectation, Expectations
from keystead.stores.profiles import require_name
from keystead.wire import origin

SCHEMA: Final = "keystead.expect/1"
_BILLING: Final = tuple(billing.value for billing in BillingClass if billing is not BillingClass.UNKNOWN)


@click.command()
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option(
    "--directory", metavar="DIR", type=click.Path(path_type=Path), help="For DIR and below, not the one here."
)
@click.option("--profile", metavar="NAME", help="For a profile, wherever it is used.")
@click.option("--list", "wants_list", is_flag=True, help="Show every declaration.")
@click.option("--remove", is_flag=True, help="Expect nothing there any more.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_context
def expect(
    context: click.Context,
    fields: tuple[str, ...],
    *,
    directory: Path | None,
    profile: str | None,
    wants_list: bool,
    remove: bool,
    wants_json: bool,
) -> None:
    """Declare who pays: keystead expect billing=subscription organization=acme.

    Fields: account (e-mail or id), organization (name or id), provider (anthropic, bedrock, foundry, aws, mantle,
    vertex, gateway, or an address), billing (subscription, metered, cloud, gateway). It holds for the directory and
    everything below, the nearest one counts, and it is kept outside the repository. token, run and -p then refuse
    any other credential with exit code 78, before a request is sent or a helper runs. What is not known about a
    credential does not hold. Without fields: say what is expected here; exit code 78 when it does not hold.
    """
    surroundings: Surroundings = context.obj
    if directory is not None and profile is not None:
        raise UsageError("--directory and --profile exclude each other.", hint="Declare one, then the other.")
    if sum((bool(fields), wants_list, remove)) > 1 or (wants_list and (directory or profile)):
        raise UsageError("FIELD=VALUE, --list and --remove exclude each other.", hint="Give one of them.")
    environment = surroundings.environment
    book = Expectations(environment.state_dir, surroundings.clock)
    where = None if profile is not None else environment.cwd / (directory or "")
    if profile is not None:
        require_name(profile, "--profile")
    if where is not None and not where.is_dir() and not remove:
        raise UsageError(f"{where} is not a directory.", hint="Name a directory that exists.")
    if fields:
        declared = book.declare(parse(fields), directory=where, profile=profile)
        _show([declared], wants_json=wants_json, said="From now on")
    elif remove:
        _removed(book.remove(directory=where, profile=profile), wants_json=wants_json)
    elif wants_list:
        _show(list(book.all()), wants_json=wants_json)
    else:
        context.exit(_here(surroundings, book, where, profile, wants_json=wants_json))


def parse(fields: tuple[str, ...]) -> dict[str, str]:
    """Return what ``FIELD=VALUE`` words declare.

    Raises:
        UsageError: a field that does not exist or stands twice, or a value that could never hold.
    """
    found: dict[str, str] = {}
    for word in fields:
        field, _, value = word.partition("=")
        if field not in FIELDS or not value.strip():
            raise UsageError(f"{word!r} is no expectation.", hint=f"Write FIELD=VALUE; fields are {', '.join(FIELDS)}.")
        if field in found:
            raise UsageError(f"{field} is given twice.", hint="Expect one value of it.")
        found[field] = _value(field, value.strip())
    return found


def _value(field: str, value: str) -> str:
    if field == "billing" and value not in _BILLING:
        raise UsageError(f"{value!r} is no billing class.", hint=f"Billing classes are {', '.join(_BILLING)}.")
    if field != "provider" or value in PROVIDERS:
        return value
    try:
        return origin.parse(value)
    except ValueError:
        raise UsageError(
            f"{value!r} is no provider.", hint=f"Write an address, or one of {', '.join(PROVIDERS)}."
        ) from None


def _show(declared: list[Expectation], *, wants_json: bool, said: str = "") -> None:
    if wants_json:
        _print([one.to_json() for one in declared])
        return
    if not declared:
        click.echo("Nothing is expected anywhere.")
    for one in declared:
        click.echo(visible(f"{said} {one.place} expects {one}".strip()) + ("." if said else ""))


def _removed(removed: Expectation | None, *, wants_json: bool) -> None:
    if wants_json:
        _print([], removed=removed and removed.to_json())
    elif removed is None:
        click.echo("Nothing was expected there.")
    else:
        click.echo(visible(f"{removed.place} no longer expects {removed}."))


def _here(
    surroundings: Surroundings, book: Expectations, where: Path | None, profile: str | None, *, wants_json: bool
) -> int:
    """Say what is expected here and whether it holds; return the exit code."""
    from keystead.sources.expectation import mismatch

    environment = surroundings.environment
    there = replace(surroundings, environment=replace(environment, cwd=where or environment.cwd))
    if profile is not None:
        there = replace(there, store=there.store.at(profile))
    applying = book.applying(there.environment.cwd, there.store.profile)
    winner = there.client().resolve().winner
    failed = mismatch(winner, applying) if winner is not None else None
    if wants_json:
        _print([one.to_json() for one in applying], holds=failed is None, error=failed and failed.to_json())
    elif not applying:
        click.echo("Nothing is expected here.")
    else:
        _show(list(applying), wants_json=False)
        held = "No credential is in use." if winner is None else f"It holds: {winner.title} ({winner.provenance})."
        click.echo(visible(sentence(failed.message) if failed else held))
    return failed.exit_code if failed else 0


def _print(declared: list[dict[str, Any]], **more: object) -> None:
    click.echo(json.dumps({"schema": SCHEMA, "expectations": declared, **more}))
