"""``keystead require-auth``: a step for a job that must fail when it has no credential, or not the right one (R-12)."""

import json
from typing import Final

import click

from keystead.cli import verification, whoami
from keystead.cli.exits import sentence, visible
from keystead.cli.expect import parse
from keystead.cli.surroundings import Surroundings
from keystead.errors import ExpectationFailed, UsageError
from keystead.sources import SOURCES
from keystead.sources.candidate import Candidate
from keystead.sources.expectation import first_unlike

SCHEMA: Final = "keystead.require-auth/1"
_SOURCES: Final = tuple(source.id for source in SOURCES)


@click.command("require-auth")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--source", metavar="ID", help="The row of the precedence table it must come from.")
@click.option("--verify", is_flag=True, help="Ask the server whether it accepts the credential.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_context
def require_auth(
    context: click.Context, fields: tuple[str, ...], *, source: str | None, verify: bool, wants_json: bool
) -> None:
    """Fail unless a credential resolves here, and is the required one: keystead require-auth billing=gateway.

    For a job that would otherwise skip what needs a credential and go green. Fields are those of keystead expect.
    Nobody is asked, and without --verify nothing is sent. Exit code: 0 there is one, 4 none or a rejected one, 75 it
    could not be verified, 77 refused by a rule, 78 another one than required, or a broken one.
    """
    surroundings: Surroundings = context.obj
    required = parse(fields)
    if source is not None and source not in _SOURCES:
        raise UsageError(f"{source!r} is no source.", hint=f"Sources are {', '.join(_SOURCES)}.")
    winner = surroundings.client().resolve().require()
    _check(winner, required, source)
    answer = verification.verify(surroundings, winner) if verify else None
    shown = answer.candidate if answer else winner
    _check(shown, required, source)
    if wants_json:
        click.echo(json.dumps({**whoami.document(surroundings, shown, answer), "schema": SCHEMA}, indent=2))
    else:
        said = f"{shown.title} ({shown.provenance}) is used; {shown.payer} pays."
        click.echo(visible(f"{said} {sentence(f'{answer.verdict}: {answer.reason}')}" if answer else said))
    context.exit(answer.exit_code if answer else 0)


def _check(candidate: Candidate, required: dict[str, str], source: str | None) -> None:
    """Refuse a credential that is not the required one, before it is used.

    Raises:
        ExpectationFailed: it names what is another, and where the credential came from.
    """
    unlike = first_unlike(candidate, required)
    if source is not None and candidate.source != source:
        unlike = ("source", candidate.source)
    if unlike is None:
        return
    field, found = unlike
    wanted = source if field == "source" else required[field]
    raise ExpectationFailed(
        f"{candidate.title} ({candidate.provenance}) would be used, and its {field} is {found}; "
        f"this job requires {field}={wanted}.",
        hint="Give the job the required credential, or unset what comes first: keystead explain says why it does.",
    )
