"""Write what the code already says where people look for it: docs/reference, the manual page, shell completions.

Every table comes from the one the program itself reads. ``tests/house/test_reference.py`` fails when a file is not what
this script would write.
"""

import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
from click.shell_completion import get_completion_class

from keystead import __version__, errors
from keystead.cli.commands import COMMANDS
from keystead.cli.group import cli
from keystead.credentials.rules import EVERY_PROGRAM, RULES, CredentialRule, Program
from keystead.server.settings import PREFIX, ServerSettings
from keystead.sources import SOURCES

ROOT: Final = Path(__file__).resolve().parent.parent
NOTE: Final = "Generated from the code by `make docs`.\n"
COMPLETIONS: Final = {
    "bash": "share/bash-completion/completions/keystead",
    "zsh": "share/zsh/site-functions/_keystead",
    "fish": "share/fish/vendor_completions.d/keystead.fish",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def sentence(thing: object) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def precedence() -> str:
    """Return the precedence table."""
    rows = [
        [
            str(rank),
            f"`{source.id}`",
            source.title,
            ", ".join(f"`{name}`" for name in source.reads),
            f"`{source.header}`" if source.header else "",
            source.billing,
            source.payer,
            ", ".join(sorted(source.surfaces)),
            source.sentence,
        ]
        for rank, source in enumerate(SOURCES, 1)
    ]
    head = ["", "source", "name", "reads", "sent in", "billing", "who pays", "surfaces", "what it is"]
    return (
        "# Precedence\n\n"
        + NOTE
        + "\nOf the rows that count on the surface, the first usable one wins.\n\n"
        + table(head, rows)
    )


def failures(root: type[errors.KeysteadError] = errors.KeysteadError) -> Iterator[type[errors.KeysteadError]]:
    """Yield the error tree, parents first."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from failures(child)


def error_codes() -> str:
    """Return every error with its code and exit code."""
    rows = [[f"`{one.code}`", str(one.exit_code), one.default_move, sentence(one)] for one in failures()]
    head = ["code", "exit code", "whose move", "meaning"]
    return "# Errors and exit codes\n\n" + NOTE + "\nExit code 0 is success.\n\n" + table(head, rows)


def cited(rule: CredentialRule) -> str:
    """Return the document a rule comes from, as a link."""
    return f"[{rule.source}]({rule.url})"


def programs(rule: CredentialRule) -> str:
    """Return which programs a rule has, in the order of the table of them."""
    return "all" if rule.programs == EVERY_PROGRAM else ", ".join(one for one in Program if one in rule.programs)


def rules() -> str:
    """Return who may use which credential where."""
    rows = [
        [f"`{one.id}`", one.credential, one.allowed, programs(one), one.denied, one.alternative, cited(one), one.dated]
        for one in RULES
    ]
    head = ["rule", "credential", "may be used", "programs", "so Keystead", "instead", "source", "as of"]
    return "# Who may use which credential where\n\n" + NOTE + "\n" + table(head, rows)


def server_settings() -> str:
    """Return every server setting."""
    rows = [
        [
            f"`{PREFIX}{field.name.upper()}`",
            f"`{field.name}`",
            "" if field.default is dataclasses.MISSING or field.default in (None, "") else f"`{field.default}`",
            field.metadata["doc"],
        ]
        for field in dataclasses.fields(ServerSettings)
    ]
    head = ["variable", "in keystead.toml", "default", "meaning"]
    return "# Server settings\n\n" + NOTE + "\nA variable wins over the file.\n\n" + table(head, rows)


Entry = tuple[str, click.Command, click.Context]


def commands(group: click.Group, path: str, context: click.Context) -> Iterator[Entry]:
    """Yield every command below ``group`` with its full name."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=context)
        yield f"{path} {name}", command, below
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}", below)


def all_commands() -> list[Entry]:
    """Return the program and every command of it."""
    context = click.Context(cli, info_name="keystead", max_content_width=100, terminal_width=100)
    return [("keystead", cli, context), *commands(cli, "keystead", context)]


def command_line() -> str:
    """Return the help of every command, as the terminal shows it."""
    parts = [f"## {path}\n\n```text\n{command.get_help(context)}\n```\n" for path, command, context in all_commands()]
    return "# Commands\n\n" + NOTE + "\n" + "\n".join(parts)


def roff(text: str) -> str:
    """Return ``text`` with what troff would read as its own escaped."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def manual() -> str:
    """Return the manual page keystead(1)."""
    lines = [f'.TH KEYSTEAD 1 "" "keystead {__version__}" "User Commands"', ".SH NAME"]
    lines += [roff("keystead - sign-in, credentials and a gateway for coding agents"), ".SH SYNOPSIS"]
    lines += [".B keystead", roff("[OPTIONS] COMMAND [ARGS]..."), ".SH COMMANDS"]
    for row in COMMANDS:
        lines += [".TP", f".B {roff(row.name)}", roff(row.line)]
    lines.append(".SH OPTIONS BY COMMAND")
    for path, command, context in all_commands():
        records = [option.get_help_record(context) for option in command.get_params(context)]
        if options := [record for record in records if record]:
            lines.append(f'.SS "{roff(path)}"')
            for names, meaning in options:
                lines += [".TP", f".B {roff(names)}", roff(meaning)]
    lines.append(".SH EXIT STATUS")
    for code, meaning in exit_codes():
        lines += [".TP", f".B {code}", roff(meaning)]
    return "\n".join(lines) + "\n"


def exit_codes() -> list[tuple[int, str]]:
    """Return each exit code with the meaning of the most general error that has it."""
    found = {0: "Success."}
    for one in failures():
        found.setdefault(one.exit_code, sentence(one))
    return sorted(found.items())


def openapi() -> str:
    """Return the OpenAPI document, from a process of its own: it needs Django, and Django is set up once in each."""
    program = [sys.executable, "-m", "keystead.server.site.openapi"]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


def files() -> dict[str, str]:
    """Return every generated file: path below the repository, content."""
    pages = {
        "docs/reference/precedence.md": precedence(),
        "docs/reference/errors.md": error_codes(),
        "docs/reference/credential-rules.md": rules(),
        "docs/reference/server-settings.md": server_settings(),
        "docs/reference/commands.md": command_line(),
        "docs/reference/openapi.json": openapi(),
        "share/man/man1/keystead.1": manual(),
    }
    for shell, path in COMPLETIONS.items():
        kind = get_completion_class(shell)
        assert kind is not None
        pages[path] = kind(cli, {}, "keystead", "_KEYSTEAD_COMPLETE").source()
    return {path: "\n".join(line.rstrip() for line in text.splitlines()) + "\n" for path, text in pages.items()}


if __name__ == "__main__":
    for name, content in files().items():
        place = ROOT / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")
