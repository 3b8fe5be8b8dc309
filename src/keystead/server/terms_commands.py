"""``keystead server terms``: what the operator publishes for organizations and their members to accept."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from keystead.errors import UsageError
from keystead.server.command_base import opened, with_overrides
from keystead.server.policy.terms import Kind

if TYPE_CHECKING:
    from keystead.server.terms.models import Terms

TERMS_SCHEMA: Final = "keystead.terms/1"


@click.group()
def terms() -> None:
    """Publish the terms that govern organizations and their members, and see how far they are accepted."""


@terms.command()
@click.argument("file", type=click.File("rb"))
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), required=True, help="Whom they are for.")
@click.option("--version", required=True, metavar="NAME", help="What to call this version, such as 2026-11.")
@click.option(
    "--in-force",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="From when on the gateway refuses who has not accepted them (YYYY-MM-DD, UTC; default now).",
)
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {TERMS_SCHEMA}.")
def publish(
    file: BinaryIO, kind: str, version: str, in_force: datetime | None, *, wants_json: bool, **given: Any
) -> None:
    """Publish the text in FILE as the newest version of its kind.

    Administrators and members are asked for it from now on. From the day of --in-force on the gateway refuses every
    organization that has not accepted it: leave people the time to read. A version that is published never changes.
    """
    try:
        text = file.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError("The file is not text in UTF-8.", hint="Give a file of plain text.") from error
    now = opened(given)
    since = now if in_force is None else in_force.replace(tzinfo=UTC)
    if since.date() < now.date():
        raise UsageError("--in-force lies in the past.", hint="Name today or a day to come, or leave it out.")
    from keystead.server.terms import operations

    made = operations.publish(Kind(kind), version, text, since, now)
    if wants_json:
        click.echo(json.dumps({"schema": TERMS_SCHEMA, "terms": [_facts(made)]}, indent=2))
        return
    click.echo(f"Published {made.kind} terms {made.version}, in force from {made.in_force_at:%Y-%m-%d %H:%M} UTC on.")


@terms.command("list")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {TERMS_SCHEMA}.")
def list_(*, wants_json: bool, **given: Any) -> None:
    """List what is published, and how many organizations and members have accepted it."""
    opened(given)
    from keystead.server.terms import operations

    rows = operations.listed()
    if wants_json:
        told = [
            {**_facts(row.terms), "accepted_by": {"organizations": row.organizations, "members": row.members}}
            for row in rows
        ]
        click.echo(json.dumps({"schema": TERMS_SCHEMA, "terms": told}, indent=2))
        return
    if not rows:
        click.echo("No terms are published: nobody is asked for anything.")
    for row in rows:
        one = row.terms
        click.echo(
            f"{one.kind} {one.version}  in force from {one.in_force_at:%Y-%m-%d %H:%M} UTC on  "
            f"accepted by organizations: {row.organizations}, members: {row.members}"
        )


def _facts(one: "Terms") -> dict[str, Any]:
    return {
        "id": one.wire_id,
        "kind": one.kind,
        "version": one.version,
        "sha256": bytes(one.digest).hex(),
        "published_at": one.published_at.isoformat(),
        "in_force_at": one.in_force_at.isoformat(),
    }


for _command in (publish, list_):
    with_overrides(_command)
