"""Look for what is wrong with the sign-in store, name the fix, and repair what loses nothing."""

import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from keystead.errors import KeysteadError
from keystead.stores import choice
from keystead.stores.choice import Backend, Choice
from keystead.stores.kept import Condition, RecordStore

_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022
FILES: Final = {Backend.FILE: "credentials.json", Backend.SEALED: "credentials.sealed.json"}
"""What each backend that keeps files keeps them in."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        what: one sentence, naming the thing.
        fix: one sentence, what to do.
        repair: does it, where that is safe; None where a person must decide.
    """

    what: str
    fix: str
    repair: Callable[[], None] | None = field(default=None, repr=False, compare=False)


def examine(directory: Path, store: RecordStore, platform: str) -> list[Finding]:
    """Return everything that is wrong with ``store`` in the state directory; reads, and writes nothing."""
    if not directory.exists():
        return []
    findings = [*_modes(directory), *damage(directory, store, platform), *_leftovers(directory)]
    return list({finding.what: finding for finding in reversed(findings)}.values())[::-1]  # each fault once


def damage(directory: Path, store: RecordStore, platform: str) -> list[Finding]:
    """Return what is wrong with what ``store`` keeps, whatever the modes of its files; reads, and writes nothing."""
    findings = list(_choice(directory, platform))
    try:
        findings += _record(store)
    except KeysteadError as error:
        findings.append(Finding(error.message, error.hint or "Correct that first."))
    return [*findings, *_elsewhere(directory, platform)]


def _modes(directory: Path) -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    for path, forbidden, right in [
        (directory, _OTHERS_WRITE, 0o700),
        *((one, _OTHERS, 0o600) for one in _files(directory)),
    ]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & forbidden:
            yield Finding(
                f"{path} is open to other users (mode {mode:04o}).",
                f"Run: chmod {right:o} {path}",
                partial(path.chmod, right),
            )


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*.json") if path.is_file())


def _choice(directory: Path, platform: str) -> Iterator[Finding]:
    try:
        choice.read(directory, platform)
    except KeysteadError as error:
        yield Finding(error.message, error.hint or "Choose a store.")


def _record(store: RecordStore) -> Iterator[Finding]:
    """Compare the record, the one before it and the summary."""
    where = store.location
    match store.condition():
        case Condition.DAMAGED:
            yield Finding(
                f"{where} is damaged; the generation before it is used.",
                "It can be put in its place; the damaged one is kept aside.",
                store.repair,
            )
        case Condition.LOST:
            yield Finding(f"{where} is damaged, and there is no generation before it.", "Run `keystead login`.")
        case Condition.NEWER:
            yield Finding(f"{where} was written by a newer version.", "Upgrade Keystead; do not sign in before that.")
        case Condition.NO_PREVIOUS:
            yield Finding(f"The generation before {where} is damaged.", "It can be written anew.", store.repair)
        case Condition.SUMMARY:
            yield Finding(f"The summary of {where} is out of date.", "It can be written anew.", store.repair)
        case Condition.SOUND:
            return


def _leftovers(directory: Path) -> Iterator[Finding]:
    for path in sorted(directory.glob(".*.tmp")):
        yield Finding(
            f"{path} was left by a process that was killed.",
            "It can be removed; nothing reads it.",
            partial(path.unlink, missing_ok=True),
        )


def _elsewhere(directory: Path, platform: str) -> Iterator[Finding]:
    """Sign-ins that an earlier choice left behind: still secret, and used by nobody."""
    try:
        chosen: Choice = choice.read(directory, platform)
    except KeysteadError:
        return
    for backend, name in FILES.items():
        if backend is not chosen.backend and (directory / name).exists():
            yield Finding(
                f"{directory / name} holds sign-ins that are not used; the {chosen.backend} store is.",
                f"Go back to it with keystead store use {backend}, or delete it.",
            )
