"""The program's click group: the table of commands as click sees it."""

import gc
from importlib import import_module
from typing import Final

import click

from keystead import __version__
from keystead.cli.commands import COMMANDS, Command
from keystead.errors import ConfigurationError


def _choose_profile(context: click.Context, _: click.Parameter, name: str | None) -> None:
    if context.obj is not None and (name is not None or context.parent is None):  # completion has no surroundings
        context.obj = context.obj.for_profile(name)


PROFILE: Final = click.Option(
    ["--profile"],
    metavar="NAME",
    expose_value=False,
    callback=_choose_profile,
    help="Use this profile, whatever KEYSTEAD_PROFILE or the directory says.",
)
"""One of several accounts; the same option before and after the verb."""


class Table(click.Group):
    """A group whose commands are the rows of :data:`COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return [command.name for command in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        found = next((command for command in COMMANDS if command.name == cmd_name), None)
        return load(found) if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.line) for command in COMMANDS])


def load(command: Command) -> click.Command:
    """Import a row's command.

    Raises:
        ConfigurationError: it belongs to an extra that is not installed.
    """
    module, _, name = command.home.partition(":")
    try:
        found = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if command.name != "server" or (error.name or "").startswith("keystead."):
            raise
        raise ConfigurationError(
            f"The server is not part of this installation ({error.name} is missing).",
            hint="Install it with: pip install 'keystead[server]'",
        ) from error
    assert isinstance(found, click.Command)
    if command.profiled and PROFILE not in found.params:
        found.params.append(PROFILE)
    return found


@click.group(cls=Table, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="keystead %(version)s")
@click.option("-p", "--print", "question", metavar="QUESTION", help="Ask once, stream the answer, exit.")
@click.option("--model", metavar="NAME", help="With -p: the model to ask.")
@click.pass_context
def cli(context: click.Context, question: str | None, model: str | None) -> None:
    """Sign-in, credentials and a gateway for coding agents.

    On a terminal and without a command: a prompt where questions are answered; /help there says more.
    """
    gc.enable()  # by now the command is loaded; see main()
    if context.invoked_subcommand is not None:
        if question is not None or model is not None:
            raise click.UsageError("-p and --model go without a command.")
    elif question is not None:
        from keystead.cli.ask import ask

        ask(context.obj, question, model)
    elif model is not None:
        raise click.UsageError("--model goes with -p.")
    elif context.obj is not None and context.obj.at_prompt:
        from keystead.cli.interactive import start

        start(context.obj)
    else:
        click.echo(context.get_help())


cli.params.append(PROFILE)
