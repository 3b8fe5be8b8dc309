"""Whether Keystead's own directory is private, whole and free of leftovers (R-18)."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from keystead.cli import tickets
from keystead.cli.doctor.finding import Finding, Ground, Repair, Weight
from keystead.cli.paper import moment
from keystead.errors import KeysteadError


def look(ground: Ground) -> Iterator[Finding]:
    """Look at modes, owners and temporary files; the content is the business of ``status`` and ``store``."""
    directory = ground.environment.state_dir
    yield from _not_revoked(ground)
    if sys.platform == "win32" or not directory.is_dir():
        return
    yield from _private(directory, 0o700, ground)
    try:
        files = sorted(directory.iterdir())
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        yield Finding(Weight.PROBLEM, f"the state directory cannot be read: {reason}", str(directory))
        return
    for file in files:
        if file.is_symlink() or not file.is_file():
            continue
        yield from _private(file, 0o600, ground)
        if file.name.startswith(".") and file.name.endswith(".tmp"):
            yield Finding(
                Weight.NOTE,
                "left behind by a write that was killed; nothing reads it",
                ground.environment.display(file),
                "Run: keystead doctor --fix",
                repair=Repair(file),
            )


def _not_revoked(ground: Ground) -> Iterator[Finding]:
    """Name the sign-ins that were ended here and that their server still takes (R-16)."""
    try:
        pending = tickets.pending(ground.surroundings)
    except KeysteadError as error:
        yield Finding(Weight.PROBLEM, error.message, fix=error.hint)
        return
    for one in pending:
        whose = f" of {one.account}" if one.account else ""
        yield Finding(
            Weight.WARNING,
            f"a sign-in{whose} to {one.issuer} was ended here and not on its server; it ends on {moment(one.until)}",
            fix="Run: keystead logout --pending",
        )


def _private(path: Path, mode: int, ground: Ground) -> Iterator[Finding]:
    status = path.stat()
    shown = ground.environment.display(path)
    if status.st_uid not in (os.geteuid(), 0):
        yield Finding(Weight.PROBLEM, "it belongs to another user", shown, f"Run: sudo chown $(id -un) {path}")
    elif stat.S_IMODE(status.st_mode) & 0o077:
        yield Finding(
            Weight.PROBLEM,
            f"other users can reach it (mode {stat.S_IMODE(status.st_mode):04o})",
            shown,
            f"Run: chmod {mode:o} {path}",
            repair=Repair(path, mode),
        )
