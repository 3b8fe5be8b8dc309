"""``keystead trust``: let the commands of one project's settings run, as they stand now (S-06, R-07)."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import click

from keystead.cli.exits import visible
from keystead.cli.paper import moment
from keystead.cli.surroundings import Surroundings
from keystead.credentials.patterns import masked
from keystead.errors import UsageError
from keystead.sources.configuration import COMMANDS, UNTRUSTED, Configuration
from keystead.stores.trust import Trust

SCHEMA = "keystead.trust/1"


@dataclass(frozen=True, slots=True)
class ProjectCommand:
    """A command that a project's file sets; the text is for the person who is about to trust it."""

    name: str
    place: str
    text: str = field(repr=False)


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--list", "wants_list", is_flag=True, help="Show every trusted command, and run nothing.")
@click.option("--remove", is_flag=True, help="Trust nothing in DIRECTORY any more.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_obj
def trust(
    surroundings: Surroundings, directory: Path | None, *, wants_list: bool, remove: bool, wants_json: bool
) -> None:
    """Let the commands in DIRECTORY's .claude/settings.json run (by default the directory you are in).

    These are apiKeyHelper and the refresh commands of clouds. Each is trusted as it is written now: when the project
    changes one, it is refused until you trust it again. What a command runs in turn is not looked at. Files of a
    project still may not set a key, an address or a header.
    """
    if wants_list and (remove or directory is not None):
        raise click.UsageError("--list goes alone, or with --json.")
    book = Trust(surroundings.environment.state_dir)
    place = surroundings.environment.cwd / (directory or "")
    if wants_list:
        _list(book, wants_json=wants_json)
    elif remove:
        _remove(book, place, surroundings, wants_json=wants_json)
    else:
        _grant(book, place, surroundings, wants_json=wants_json)


def project_commands(configuration: Configuration) -> Iterator[ProjectCommand]:
    """Yield the commands that files of the project set, the one that counts for each name."""
    seen = set()
    for file in configuration.files:
        if file.scope not in UNTRUSTED:
            continue
        if file.fault is not None:
            raise file.fault
        for name, setting in file.settings.members.items() if file.settings is not None else ():
            if name in COMMANDS and name not in seen and isinstance(setting.value, str) and setting.value.strip():
                seen.add(name)
                yield ProjectCommand(name, f"{file.shown}:{setting.line}", setting.value)


def _grant(book: Trust, place: Path, surroundings: Surroundings, *, wants_json: bool) -> None:
    environment = replace(surroundings.environment, cwd=place)
    commands = list(project_commands(Configuration.read(environment)))
    if not commands:
        raise UsageError(
            f"{place} has no command that could be trusted.",
            hint="A project's commands are in .claude/settings.json or .claude/settings.local.json.",
        )
    granted = book.grant(place, {one.name: one.text for one in commands}, surroundings.clock)
    if wants_json:
        rows = [{"name": one.name, "place": one.place} for one in commands]
        click.echo(json.dumps({"schema": SCHEMA, "directory": granted[0].directory, "granted": rows}))
        return
    click.echo(f"In {visible(granted[0].directory)} these commands may run now, as they are written:")
    for one in commands:
        click.echo(f"  {one.name} ({visible(one.place)}): {visible(masked(one.text))}")
    click.echo("Take it back with: keystead trust --remove")


def _remove(book: Trust, place: Path, surroundings: Surroundings, *, wants_json: bool) -> None:
    removed = book.revoke(place, surroundings.clock)
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "directory": str(place.resolve()), "removed": removed}))
    else:
        said = "is no longer trusted with its commands" if removed else "was not trusted"
        click.echo(f"{visible(str(place.resolve()))} {said}.")


def _list(book: Trust, *, wants_json: bool) -> None:
    entries = book.all()
    if wants_json:
        rows = [{name: value for name, value in asdict(one).items() if name != "digest"} for one in entries]
        click.echo(json.dumps({"schema": SCHEMA, "trusted": rows}))
        return
    if not entries:
        click.echo("No project is trusted with a command.")
    for one in entries:
        click.echo(f"{visible(one.directory)}: {one.name}, since {moment(one.trusted_at)}")
