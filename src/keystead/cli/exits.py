"""How a command ends: one printer for every error, one exit code for each class of it."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from keystead.cli.surroundings import Surroundings
from keystead.errors import Cancelled, KeysteadError, UsageError

DEBUG_VARIABLE = "KEYSTEAD_DEBUG"


def exit_code(command: click.Command, arguments: list[str], surroundings: Surroundings) -> int:
    """Run ``command`` and return the process's exit code; whatever goes wrong has been said by then."""
    try:
        result = command.main(arguments, prog_name="keystead", standalone_mode=False, obj=surroundings)
        if sys.stdout is not None:  # None when the caller closed it
            sys.stdout.flush()
    except Exception as error:  # noqa: BLE001  the last line of defence: no traceback reaches a person
        wants_json = "--json" in arguments[: arguments.index("--")] if "--" in arguments else "--json" in arguments
        return failed(error, surroundings, wants_json=wants_json)
    return result if isinstance(result, int) else 0


def failed(error: BaseException, surroundings: Surroundings, *, wants_json: bool) -> int:
    """Say what ``error`` means and return the process's exit code."""
    if isinstance(error, BrokenPipeError):  # nobody reads any more
        _forget_stdout()
        return 1
    return report(as_ours(error, surroundings.environment.variables), wants_json=wants_json)


def report(error: KeysteadError, *, wants_json: bool) -> int:
    """Say what happened and what to do, on stderr or as one JSON line on stdout; return the exit code."""
    if wants_json:
        click.echo(json.dumps({"schema": "keystead.error/1", "error": error.to_json()}))
    else:
        click.echo(f"keystead: {visible(sentence(error.message))}", err=True)
        if error.hint:
            click.echo(f"  fix: {visible(error.hint)}", err=True)
    return error.exit_code


def sentence(text: str) -> str:
    """Return ``text`` with a full stop, unless it ends like a sentence already."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def visible(text: str) -> str:
    """Return ``text`` without control characters other than line breaks and tabs: others' words move no cursor."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)


def as_ours(error: BaseException, variables: Mapping[str, str]) -> KeysteadError:
    """Return any exception as one of the error tree."""
    if isinstance(error, KeysteadError):
        return error
    if isinstance(error, OSError) and error.strerror:
        if error.filename is None:
            _forget_stdout()  # it may be what cannot be written
        place = f" ({error.filename})" if isinstance(error.filename, str) else ""
        return KeysteadError(
            f"The system refused to go on: {error.strerror.lower()}{place}.", hint="Correct that first."
        )
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return Cancelled("Stopped. Nothing was changed.")
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        asked = context.command_path if context else "keystead"
        return UsageError(error.format_message(), hint=f"Try {asked} --help.")
    if variables.get(DEBUG_VARIABLE):
        click.echo(_redacted_traceback(error), err=True)
    hint = f"Please report it, with what {DEBUG_VARIABLE}=1 prints. It shows places in the code and no values."
    return KeysteadError(f"Something unexpected happened ({type(error).__name__}).", hint=hint)


def _redacted_traceback(error: BaseException) -> str:
    """Return where it happened, without messages, arguments or source lines, any of which may quote a secret."""
    lines = []
    current: BaseException | None = error
    while current is not None:
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}")
        frame = current.__traceback__
        while frame is not None:
            code: Any = frame.tb_frame.f_code
            lines.append(f"  {code.co_filename}:{frame.tb_lineno} in {code.co_qualname}")
            frame = frame.tb_next
        current = current.__cause__ or current.__context__
    return "\n".join(lines)


def _forget_stdout() -> None:
    """Keep the interpreter from complaining at exit that nobody reads the rest."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
