"""``keystead token``: the token alone on standard output, for scripts and ``apiKeyHelper``."""

import json

import click

from keystead.cli.purse import open_purse
from keystead.cli.surroundings import Surroundings

SCHEMA = "keystead.token/1"


@click.command()
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON with expiry and address, schema {SCHEMA}.")
@click.pass_obj
def token(surroundings: Surroundings, wants_json: bool) -> None:
    """Print the credential in use: one line, nothing else. It is renewed first when it is due."""
    authorized = open_purse(surroundings)
    value = authorized.secret.reveal()
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
