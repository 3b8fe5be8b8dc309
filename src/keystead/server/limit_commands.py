"""``keystead server limits``: what may be spent and used, as the console and the admin API set it."""

import json
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.errors import UsageError
from keystead.server.command_base import opened, with_overrides
from keystead.server.policy.limits import MONEY, SHARED, Beyond, Measure, Period, Scope
from keystead.server.usage.prices import CURRENCY, amount

if TYPE_CHECKING:
    from keystead.server.console.limits import Row
    from keystead.server.limits.operations import Draft
    from keystead.server.organizations.models import Organization

SCHEMA: Final = "keystead.limits/1"
_USUAL: Final = {
    Measure.SPEND: Period.MONTHLY,
    Measure.ALLOWANCE: Period.FIVE_HOURS,
    Measure.REQUESTS: Period.MINUTE,
    Measure.TOKENS: Period.MINUTE,
    Measure.CONCURRENT: Period.NOW,
}
_ORGANIZATION: Final = click.option("--organization", help="Whose, by name, when there are several organizations.")
_JSON: Final = click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")


@click.group()
def limits() -> None:
    """See, set and remove limits and flat rates; running servers hold to them within seconds."""


@limits.command("list")
@_ORGANIZATION
@_JSON
def list_limits(organization: str | None, *, wants_json: bool, **given: Any) -> None:
    """Print an organization's limits, the oldest first, and what is used of those that are one pot."""
    now = opened(given)
    from keystead.server.console.limits import rows
    from keystead.server.organizations import operations as organizations

    whose = organizations.named(organization)
    found = rows(whose, now)
    if wants_json:
        _print(whose, limits=[_facts(row) for row in found])
        return
    if not found:
        click.echo(f"{whose.name} has no limit: everybody may spend what they like.")
    for row in found:
        click.echo(f"{row.limit.wire_id}  {_said(row)}")


@limits.command("set")
@click.argument("amount", metavar="AMOUNT")
@click.option("--member", help="For one person, by their address.")
@click.option("--group", help="For each member of a group, by its name.")
@click.option("--workspace", help="For a workspace, by its name.")
@click.option("--key", help="For an API key, by its identifier (key_…).")
@click.option("--shared", is_flag=True, help="One pot for all of them, instead of as much for each.")
@click.option(
    "--of",
    "measure",
    type=click.Choice([one.value for one in Measure]),
    default=Measure.SPEND.value,
    show_default=True,
    help="What is limited; an allowance is a flat rate.",
)
@click.option(
    "--period",
    type=click.Choice([one.value for one in Period]),
    help="Default: monthly, five_hours for an allowance, or minute.",
)
@click.option(
    "--beyond",
    type=click.Choice([one.value for one in Beyond]),
    default=Beyond.STOPPED.value,
    show_default=True,
    help="What becomes of requests that an allowance does not cover.",
)
@_ORGANIZATION
@_JSON
def set_limit(organization: str | None, *, wants_json: bool, **given: Any) -> None:
    """Set a limit; one that is there already for the same people, measure and period gets the new amount.

    AMOUNT is like 250 or 12.50 for money, a whole number for the others, or none: no limit here, whatever holds further
    away. Without --member, --group, --workspace or --key it is for everybody in the organization.
    """
    wanted = {name: given.pop(name) for name in _WANTED}
    now = opened(given)
    from keystead.server.console.limits import rows
    from keystead.server.limits import operations
    from keystead.server.organizations import operations as organizations

    whose = organizations.named(organization)
    limit = operations.put_as_operator(whose, _draft(whose, wanted), now)
    (row,) = [one for one in rows(whose, now) if one.limit.pk == limit.pk]
    if wants_json:
        _print(whose, limit=_facts(row))
        return
    click.echo(f"{limit.wire_id}  {_said(row)}")


_WANTED: Final = ("amount", "member", "group", "workspace", "key", "shared", "measure", "period", "beyond")


@limits.command("remove")
@click.argument("limit_id", metavar="LIMIT")
@_ORGANIZATION
@_JSON
def remove_limit(limit_id: str, organization: str | None, *, wants_json: bool, **given: Any) -> None:
    """Remove the limit LIMIT (spl_…); what was used stays in the ledger."""
    now = opened(given)
    from keystead.server.console.limits import rows
    from keystead.server.limits import operations
    from keystead.server.organizations import operations as organizations

    whose = organizations.named(organization)
    found = [row for row in rows(whose, now) if row.limit.wire_id == limit_id]
    if not found or not operations.remove_as_operator(whose, found[0].limit, now):
        raise UsageError(f"{whose.name} has no limit {limit_id}.", hint="keystead server limits list shows them.")
    if wants_json:
        _print(whose, removed=_facts(found[0]))
        return
    click.echo(f"Removed: {_said(found[0])}")


def _draft(whose: "Organization", wanted: dict[str, Any]) -> "Draft":
    from keystead.server.limits.operations import Draft, money, number

    scope, subject = _subject(whose, wanted)
    measure, text = Measure(wanted["measure"]), wanted["amount"]
    read = money if measure in MONEY else number
    return Draft(
        scope,
        subject,
        measure,
        Period(wanted["period"] or _USUAL[measure]),
        None if text == "none" else read(text),
        wanted["shared"] or False not in SHARED[scope],
        Beyond(wanted["beyond"]),
    )


def _subject(whose: "Organization", wanted: dict[str, Any]) -> tuple[Scope, str]:
    """Return whom a limit is for.

    Raises:
        UsageError: it is for two at once, or there is no such one.
    """
    from keystead.server.organizations import memberships
    from keystead.server.organizations.models import Group, Workspace
    from keystead.wire import ids

    named = [(option, wanted[option]) for option in ("member", "group", "workspace", "key") if wanted[option]]
    if len(named) > 1:
        options = " and ".join(f"--{option}" for option, _ in named)
        raise UsageError(f"{options}: a limit is for one of them.", hint="Set two limits.")
    if not named:
        return Scope.ORGANIZATION, ""
    option, name = named[0]
    if option == "key":
        return Scope.KEY, name
    scope, kind, rows = {
        "member": (Scope.USER, "membership", memberships.of(whose).filter(person__email__iexact=name)),
        "group": (Scope.GROUP, "group", Group.objects.filter(organization=whose, name=name)),
        "workspace": (Scope.WORKSPACE, "workspace", Workspace.objects.filter(organization=whose, name=name)),
    }[option]
    found = list(rows.values_list("pk", flat=True)[:2])
    if len(found) != 1:
        raise UsageError(
            f"--{option}: {whose.name} has {'no' if not found else 'more than one'} {option} {name}.",
            hint="The console shows them, and sets limits too.",
        )
    return scope, ids.dump(kind, found[0])


def _print(whose: "Organization", **facts: Any) -> None:
    click.echo(json.dumps({"schema": SCHEMA, "organization": whose.name, **facts}, indent=2, ensure_ascii=False))


def _facts(row: "Row") -> dict[str, Any]:
    """Return a limit for programs; amounts of money are whole micro-units."""
    from keystead.server.limits.facts import rule_of

    rule = rule_of(row.limit)
    return {
        "id": rule.id,
        "for": row.whom,
        "scope": rule.scope.value,
        "subject": rule.subject,
        "shared": rule.shared,
        "measure": rule.measure.value,
        "period": rule.period.value,
        "amount": rule.amount,
        "beyond": rule.beyond.value,
        "used": row.used,
    }


def _said(row: "Row") -> str:
    from keystead.server.usage.export import printable

    most, whom = row.limit.amount, printable(row.whom)
    if most is None:
        return f"{whom}: no limit of {row.what}"
    if not row.is_money:
        return f"{whom}: {most} {row.what}"
    used = "" if row.used is None else f"; used {amount(row.used, 2)} {CURRENCY}, {row.percent} %"
    return f"{whom}: {amount(most, 2)} {row.what}{used}"


for _command in (list_limits, set_limit, remove_limit):
    with_overrides(_command)
