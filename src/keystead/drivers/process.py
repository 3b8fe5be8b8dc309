"""Become another program, so that its exit code, its signals and its terminal are simply its own."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from keystead import core_dumps
from keystead.errors import UsageError


def become(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Replace this process by ``command`` with exactly ``variables`` as its environment.

    On Windows, which cannot replace a process, wait for it and exit with its code.

    Raises:
        UsageError: there is no such program, or it cannot be run.
    """
    program = shutil.which(command[0], path=variables.get("PATH"))
    if program is None:
        raise UsageError(f"{command[0]} was not found.", hint="Check the spelling, or give its whole path.")
    core_dumps.give_back()
    try:
        if sys.platform == "win32":
            import subprocess

            sys.exit(subprocess.run([program, *command[1:]], env=dict(variables), check=False).returncode)
        os.execve(program, list(command), dict(variables))  # noqa: S606  (no shell is the point)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise UsageError(f"{command[0]} cannot be run: {reason}.", hint="Check that it is a program.") from error
