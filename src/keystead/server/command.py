"""``keystead server``: run the server, and make a new link for the first administrator."""

import secrets
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from keystead.clock import SYSTEM_CLOCK
from keystead.environment import Environment
from keystead.errors import UsageError
from keystead.server import app
from keystead.server.settings import ServerSettings, load


@click.group()
def server() -> None:
    """Run the self-hosted server: sign-in, console and gateway in one process."""


_OVERRIDES = [
    click.option("--data-dir", type=click.Path(path_type=Path), help="Directory of database and keys."),
    click.option("--host", help="Address to listen on (default 127.0.0.1)."),
    click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (default 8420; 0 takes a free one)."),
]


def _settings(environment: Environment, **given: Any) -> ServerSettings:
    """Return the settings with the command line's on top."""
    variables = dict(environment.variables)
    if given.get("data_dir") is not None:
        variables["KEYSTEAD_SERVER_DATA_DIR"] = str(given.pop("data_dir"))
    return replace(load(variables), **{name: value for name, value in given.items() if value is not None})


@server.command()
def run(**given: Any) -> None:
    """Start the server and keep it running until Ctrl-C."""
    environment = Environment.capture()
    settings = _settings(environment, **given)
    with app.prepared(settings, SYSTEM_CLOCK, secrets.token_bytes) as installation:
        app.serve(installation, lambda ready: click.echo(_welcome(ready, environment)))
    click.echo("Keystead has stopped.")


@server.command("setup-link")
def setup_link(**given: Any) -> None:
    """Print a new link for the first administrator.

    It works once; links printed before stop working.
    """
    settings = _settings(Environment.capture(), **given)
    code = app.new_setup_code(settings, SYSTEM_CLOCK, secrets.token_bytes)
    if code is None:
        raise UsageError("This server already has its first administrator.", hint=f"Sign in at {settings.base_url}/.")
    click.echo(_link(settings, code))


for _command in (run, setup_link):
    for _option in reversed(_OVERRIDES):
        _option(_command)


def _link(settings: ServerSettings, code: str) -> str:
    """Return the link; the code stands in the fragment, which a browser never sends (nor logs, nor refers)."""
    return f"{settings.base_url}/setup#code={code}"


def _welcome(ready: app.Ready, environment: Environment) -> str:
    """Return what a person reads when the server is up."""
    settings = ready.settings
    lines = [
        "Keystead is running. Stop it with Ctrl-C.",
        "",
        f"  Console  {settings.base_url}/",
        f"  Sign-in  {settings.base_url}/device",
        f"  Gateway  {settings.base_url}/v1/messages",
        f"  Data     {settings.data_dir}",
        f"  Upstream {_upstream(settings)}",
        "",
    ]
    if ready.setup_code is not None:
        lines += [
            "Create the first administrator. This link works once, for one day:",
            f"  {_link(settings, ready.setup_code)}",
            "",
        ]
    lines += ["Then, in a second terminal:", *(f"  {step}" for step in _next_steps(settings, environment))]
    return "\n".join(lines)


def _upstream(settings: ServerSettings) -> str:
    if settings.upstream_api_key is not None:
        return settings.upstream_url
    return (
        "the built-in test upstream, which is not a model.\n"
        "           Set KEYSTEAD_SERVER_UPSTREAM_API_KEY for a real one."
    )


def _next_steps(settings: ServerSettings, environment: Environment) -> list[str]:
    """Return commands that work when pasted: with this installation on the PATH, and with this server's address."""
    here = Path(sys.executable).parent
    found = shutil.which("keystead", path=environment.variables.get("PATH", ""))
    on_path = found is not None and Path(found).resolve() == (here / "keystead").resolve()
    usual = ServerSettings(data_dir=settings.data_dir).base_url == settings.base_url
    login = "keystead login" if usual else f"keystead login --server {settings.base_url}"
    return [
        *([] if on_path else [f'export PATH="{here}:$PATH"']),
        login,
        "keystead status",
        'keystead -p "hello"',
    ]
