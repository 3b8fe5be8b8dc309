"""Run ``apiKeyHelper``: a command of the person's own that prints one key (S-06, R-11).

Its output is a key, or an object that also says until when (:mod:`keystead.wire.helper_output`), or it is nothing: no
banner, no second line, no best effort.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials.lint import LONGEST, clean
from keystead.credentials.printed import Printed
from keystead.drivers import command as driver
from keystead.errors import HelperFailed, MalformedSecret
from keystead.wire import helper_output
from keystead.wire.fields import Malformed

DEADLINE: Final = 60.0
"""Seconds a helper may take."""
_MOST_OUTPUT: Final = LONGEST + 1024
_HINT: Final = "Run the command yourself: it must exit with 0 and print the key alone, on one line."


def run(
    command: str | Sequence[str],
    name: str,
    cwd: Path,
    variables: Mapping[str, str],
    clock: Clock,
    deadline: float = DEADLINE,
    notice: Callable[[float], None] | None = None,
) -> Printed:
    """Run ``command`` and return the one key it prints.

    Args:
        command: one string for ``/bin/sh -c``, as configured; or a program and its arguments, without a shell.
        name: what to call it in an error, such as ``apiKeyHelper (~/.claude/settings.json:3)``.
        cwd: the project directory.
        variables: the environment of the command.
        clock: measures the deadline.
        deadline: seconds after which it and everything it started is killed.
        notice: told the seconds so far, every ten seconds that it takes.

    Raises:
        HelperFailed: it could not run, took too long, failed, or printed something else than one key, or one that has
            ended. The message has its exit code and its redacted error output, never its output.
    """
    arguments = (*driver.SHELL, command) if isinstance(command, str) else tuple(command)
    run_it = partial(driver.run, arguments, cwd, variables, clock, deadline=deadline, most=_MOST_OUTPUT, notice=notice)
    finished = _finish(run_it, name)
    if len(finished.output) > _MOST_OUTPUT:
        raise HelperFailed(f"{name} printed more than {LONGEST} characters.", hint=_HINT)
    if finished.code is None:
        raise HelperFailed(f"{name} took longer than {deadline:g} s and was stopped.{finished.said}", hint=_HINT)
    if finished.code != 0:
        raise HelperFailed(f"{name} failed with exit code {finished.code}.{finished.said}", hint=_HINT)
    printed = _one_key(finished.output, name, finished.said)
    if printed.expires_at is not None and printed.expires_at <= clock.now():
        raise HelperFailed(f"{name} printed a key that has ended already.", hint="Check its clock and its cache.")
    return printed


def _finish(run_it: Callable[[], driver.Finished], name: str) -> driver.Finished:
    if sys.platform == "win32":
        raise HelperFailed(f"{name} cannot run on Windows yet.", hint="Set ANTHROPIC_API_KEY instead.")
    try:
        return run_it()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the command
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise HelperFailed(f"{name} could not be started: {reason.lower()}.", hint=_HINT) from None


def _one_key(output: bytes, name: str, said: str) -> Printed:
    try:
        text = output.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise HelperFailed(
            f"{name} printed something that is not text at byte {error.start + 1}.", hint=_HINT
        ) from None
    if not text:
        raise HelperFailed(f"{name} printed nothing.{said}", hint=_HINT)
    try:
        printed = helper_output.parse(text)
        return Printed(clean(printed.token, f"The output of {name}"), printed.expires_at)
    except MalformedSecret as error:
        raise HelperFailed(error.message, hint=_HINT) from None
    except Malformed as error:
        raise HelperFailed(f"{name} printed an object that cannot be used: {error}.", hint=_HINT) from None
