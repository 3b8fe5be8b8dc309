"""``keystead whoami``: whose credential is used here, in which organization, and who pays."""

import json
from typing import Any

import click

from keystead.cli import verification
from keystead.cli.exits import sentence, visible
from keystead.cli.paper import Paper
from keystead.cli.surroundings import Surroundings
from keystead.cli.verification import Verification
from keystead.credentials import Account
from keystead.sources.candidate import Candidate

SCHEMA = "keystead.whoami/1"


@click.command()
@click.option("--verify", is_flag=True, help="Ask the server instead of believing what is stored.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_context
def whoami(context: click.Context, *, verify: bool, wants_json: bool) -> None:
    """Say whose credential is used: account, organization with its id, who pays.

    Without --verify nothing is sent. Exit code: 0 known or verified, 4 none or rejected, 75 it could not be verified,
    77 refused by a rule.
    """
    surroundings: Surroundings = context.obj
    winner = surroundings.client().resolve().require()
    answer = verification.verify(surroundings, winner) if verify else None
    shown = answer.candidate if answer else winner
    if wants_json:
        click.echo(json.dumps(document(surroundings, shown, answer), indent=2))
    else:
        paper = Paper.of(surroundings.environment)
        rows = [(label, visible(text)) for label, text in facts(surroundings, shown, answer)]
        click.echo("\n".join(paper.table(rows, indent=0)), color=paper.colour)
        for warning in answer.warnings if answer else ():
            click.echo(f"! {visible(sentence(warning))}", err=True)
    context.exit(answer.exit_code if answer else 0)


def facts(surroundings: Surroundings, shown: Candidate, answer: Verification | None) -> list[tuple[str, str]]:
    """Return labels and texts; what is not known has no text."""
    account = shown.account or Account()
    named = f"{account.name} <{account.email}>" if account.name and account.email else account.email or account.name
    identifier = f" ({account.id})" if named and account.id else ""
    return [
        ("Account", f"{named or account.id or 'not known from here'}{identifier}"),
        ("Organization", organization(account)),
        ("Who pays", shown.payer),
        ("Credential", f"{shown.title} ({shown.provenance})"),
        ("Profile", str(surroundings.selection)),
        ("Verified", f"{answer.verdict}: {answer.reason}" if answer else ""),
    ]


def organization(account: Account) -> str:
    """Return name and id of the organization, as far as known."""
    if account.organization_name and account.organization_id:
        return f"{account.organization_name} ({account.organization_id})"
    return account.organization_name or account.organization_id or ""


def document(surroundings: Surroundings, shown: Candidate, answer: Verification | None) -> dict[str, Any]:
    """Return the answer for programs."""
    account = shown.account or Account()
    return {
        "schema": SCHEMA,
        "profile": surroundings.selection.to_json(),
        "source": shown.source,
        "account": {"id": account.id, "email": account.email, "name": account.name},
        "organization": {"id": account.organization_id, "name": account.organization_name},
        "billing": shown.billing,
        "payer": shown.payer or None,
        "verification": answer and answer.to_json(),
    }
