"""What the commands of ``keystead server`` have in common: their options, the settings, and the open database."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from keystead.clock import SYSTEM_CLOCK
from keystead.environment import Environment
from keystead.server import announcements, installation
from keystead.server.changes import CHANGES
from keystead.server.settings import ServerSettings, load

OVERRIDES: Final = (
    click.option("--data-dir", type=click.Path(path_type=Path), help="Directory of database and keys."),
    click.option("--host", help="Address to listen on (default 127.0.0.1)."),
    click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (default 8420; 0 takes a free one)."),
)


def with_overrides(command: Callable[..., Any]) -> None:
    """Give a command the options that stand for settings."""
    for option in reversed(OVERRIDES):
        option(command)


def settings_of(environment: Environment, **given: Any) -> ServerSettings:
    """Return the settings with the command line's on top."""
    variables = dict(environment.variables)
    if given.get("data_dir") is not None:
        variables["KEYSTEAD_SERVER_DATA_DIR"] = str(given.pop("data_dir"))
    return replace(load(variables), **{name: value for name, value in given.items() if value is not None})


def opened(given: dict[str, Any]) -> datetime:
    """Open the database that the options name, and have servers on it told of what changes; returns the time."""
    installation.open_database(settings_of(Environment.capture(), **given), secrets.token_bytes)
    click.get_current_context().call_on_close(announcements.announced(CHANGES))
    return moment()


def moment() -> datetime:
    """Return the time."""
    return datetime.fromtimestamp(SYSTEM_CLOCK.now(), UTC)
