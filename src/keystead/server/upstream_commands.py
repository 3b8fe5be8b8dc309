"""``keystead server upstreams``, ``upstream-test`` and ``rotate-sealing-key``."""

import json
import secrets
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.environment import Environment
from keystead.server import data_directory, installation
from keystead.server.command_base import moment, opened, settings_of, with_overrides

if TYPE_CHECKING:
    from keystead.server.upstreams.models import Upstream

UPSTREAMS_SCHEMA: Final = "keystead.upstreams/1"
TEST_SCHEMA: Final = "keystead.upstream-test/1"
SEALING_SCHEMA: Final = "keystead.sealing-key/1"


@click.command()
@click.option("--organization", help="Whose, by name, when there are several organizations.")
@click.option("--names", "wants_names", is_flag=True, help="Show what each is sent for a model's name, and why.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {UPSTREAMS_SCHEMA}; with the names.")
def upstreams(organization: str | None, *, wants_names: bool, wants_json: bool, **given: Any) -> None:
    """List an organization's upstreams in their order, and what was last found of each."""
    opened(given)
    from keystead.server.organizations import operations as organizations
    from keystead.server.upstreams import naming, operations

    whose = organizations.named(organization)
    rows = list(operations.of_organization(whose))
    if wants_json:
        found = {"schema": UPSTREAMS_SCHEMA, "organization": whose.name, "upstreams": [facts(row) for row in rows]}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    if not rows:
        click.echo(f"{whose.name} has connected no upstream: its requests go to the server's own.")
    for row in rows:
        click.echo(line(row))
        if row.checked_at is not None:
            click.echo(f"  {row.checked_at:%Y-%m-%d %H:%M} UTC: {row.checked_result}")
        if wants_names:
            for named in naming.all_of(row):
                click.echo(f"  {named.name} -> {named.sent}  ({named.why})")
            click.echo(f"  Any other name goes {naming.AS_IT_IS}.")


def facts(row: "Upstream") -> dict[str, Any]:
    """Return an upstream for programs; of its credential only the kind."""
    from keystead.server.upstreams import naming

    return {
        "id": row.wire_id,
        "name": row.name,
        "kind": row.kind,
        "base_url": row.base_url,
        "state": _state(row),
        "credential": row.method or None,
        "version": row.version,
        "checked_at": None if row.checked_at is None else row.checked_at.isoformat(),
        "checked_result": row.checked_result or None,
        "enabled": row.enabled,
        "region": row.region or None,
        "project": row.project or None,
        "profile": row.profile or None,
        "models": row.model_names,
        "serves": row.serves,
        "headers": row.headers,
        "first_byte_seconds": row.first_byte_seconds,
        "names": [named._asdict() for named in naming.all_of(row)],
    }


def line(row: "Upstream") -> str:
    """Return what a person reads of an upstream."""
    return f"{row.name}  {row.kind}  {row.base_url}  {_state(row)}"


def _state(row: "Upstream") -> str:
    if not row.enabled:
        return "off"
    if not row.method:
        return "no credential"
    return {None: "not tested yet", True: "works", False: "in trouble"}[row.works]


@click.command("upstream-test")
@click.argument("name")
@click.option("--organization", help="Whose, by name, when there are several organizations.")
@click.option("--model", default="", help="A model by the name that agents use, where the test has to name one.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {TEST_SCHEMA}.")
def upstream_test(name: str, organization: str | None, model: str, *, wants_json: bool, **given: Any) -> None:
    """Ask the upstream NAME once, as requests do, and say what became of it; the exit code is 1 when it does not work.

    It says too what the upstream is sent for a model's name, and why. References such as env: are read in this
    command's own environment.
    """
    settings = settings_of(Environment.capture(), **given)
    now = opened(given)
    from keystead.server.organizations import operations as organizations
    from keystead.server.upstreams import credentials, naming, operations, trial

    upstream = operations.named(organizations.named(organization), name)
    named = naming.of(upstream, model or trial.usual_model(upstream.model_names, upstream.serves))
    outcome = credentials.tried(upstream, settings, named.name)
    operations.note(upstream, works=outcome.works, result=outcome.sentence, now=now)
    if wants_json:
        told = {"name": upstream.name, "works": outcome.works, "result": outcome.sentence, "model": named._asdict()}
        click.echo(json.dumps({"schema": TEST_SCHEMA, **told}, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{upstream.name}: {outcome.sentence}")
        if model or named.sent != named.name:
            click.echo(f"  {named.name} -> {named.sent}  ({named.why})")
    sys.exit(0 if outcome.works else 1)


@click.command("rotate-sealing-key")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SEALING_SCHEMA}.")
def rotate_sealing_key(*, wants_json: bool, **given: Any) -> None:
    """Replace the key under which secrets rest in the database, and seal them all anew.

    Without KEYSTEAD_SERVER_SECRET_KEY it makes a new file secret-key; stop the server first. With it, set the new one
    there and the old one as KEYSTEAD_SERVER_SECRET_KEY_PREVIOUS, for every server, before this. It can be interrupted
    at any time and run again.
    """
    settings = settings_of(Environment.capture(), **given)
    data_directory.prepare(settings.data_dir)
    with ExitStack() as held:
        if settings.secret_key is None:
            held.enter_context(data_directory.only_server(settings.data_dir))
        from keystead.server import resealing

        resealing.begin(settings, secrets.token_bytes)
        installation.open_database(settings, secrets.token_bytes)
        done = resealing.finish(settings, moment())
    if wants_json:
        click.echo(json.dumps({"schema": SEALING_SCHEMA, "sealed": done.sealed}, indent=2))
        return
    for purpose, count in done.sealed.items():
        click.echo(f"{purpose}: {count} sealed anew")
    if settings.secret_key is not None:
        click.echo("Remove KEYSTEAD_SERVER_SECRET_KEY_PREVIOUS once every server has the new key.")


COMMANDS: Final = (upstreams, upstream_test, rotate_sealing_key)
for _command in COMMANDS:
    with_overrides(_command)
