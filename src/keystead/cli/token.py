"""``keystead token``: the token alone on standard output, for scripts and ``apiKeyHelper``."""

import json

import click

from keystead.cli.purse import open_purse
from keystead.cli.surroundings import Surroundings
from keystead.errors import UsageError

SCHEMA = "keystead.token/1"
_IN_JOB = "GITHUB_ACTIONS"


@click.command()
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON with expiry and address, schema {SCHEMA}.")
@click.option("--mask", is_flag=True, help="First tell the log of a GitHub Actions job, on stderr, to hide it.")
@click.pass_obj
def token(surroundings: Surroundings, wants_json: bool, mask: bool) -> None:
    """Print the credential in use: one line, nothing else. It is renewed first when it is due."""
    if mask and surroundings.environment.variables.get(_IN_JOB) != "true":
        raise UsageError(
            f"--mask is for jobs of GitHub Actions, and {_IN_JOB} is not set to true.",
            hint="Leave --mask out here: it would print the token where nobody hides it.",
        )
    authorized = open_purse(surroundings)
    value = authorized.secret.reveal()
    if mask:
        click.echo(f"::add-mask::{value}", err=True)  # the runner takes the line out of the log
    if not wants_json:
        click.echo(value)
        return
    candidate = authorized.candidate
    document = {
        "schema": SCHEMA,
        "token": value,
        "header": authorized.header,
        "api_base": authorized.api_base,
        "source": candidate.source,
        "expires_at": candidate.expires_at,
    }
    click.echo(json.dumps(document))
