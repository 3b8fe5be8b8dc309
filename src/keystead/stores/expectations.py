"""Who is expected to pay, per directory or profile: ``expectations.json`` of the state directory (B-05, R-03).

It is kept outside every repository, so that a clone can neither declare nor remove one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keystead.clock import Clock
from keystead.errors import UnreadableFile
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked

SCHEMA: Final = "keystead.expectations/1"
FIELDS: Final = ("account", "organization", "provider", "billing")
"""What can be expected of a credential."""
_WRITE_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Expectation:
    """One declaration.

    Attributes:
        directory: real path it is declared for, and everything below; None when it is for a profile.
        profile: the profile it is declared for; None when it is for a directory.
        expected: field -> the value it must have; only fields of :data:`FIELDS`.
    """

    directory: str | None
    profile: str | None
    expected: Mapping[str, str]

    @property
    def place(self) -> str:
        """What it is declared for, for people."""
        return self.directory if self.directory is not None else f"profile {self.profile}"

    def __str__(self) -> str:
        return ", ".join(f"{field}={value}" for field, value in self.expected.items())

    def to_json(self) -> dict[str, Any]:
        """Return its shape in ``--json`` outputs."""
        return {"directory": self.directory, "profile": self.profile, "expected": dict(self.expected)}


class Expectations:
    """Every declaration. Reading writes nothing."""

    def __init__(self, directory: Path, clock: Clock, files: Files | None = None) -> None:
        self._path = directory / "expectations.json"
        self._lock = directory / "expectations.lock"
        self._clock = clock
        self._files = files or Files()

    def applying(self, directory: Path, profile: str) -> tuple[Expectation, ...]:
        """Return what counts here: that of the nearest directory upward, links followed, and that of the profile.

        Raises:
            UnreadableFile: what is expected cannot be read, so nothing may be assumed.
        """
        declared = self.all()
        if not declared:
            return ()
        real = Path(os.path.realpath(directory))
        directories = {one.directory: one for one in declared if one.directory is not None}
        nearest = next((directories[str(one)] for one in (real, *real.parents) if str(one) in directories), None)
        own = [one for one in declared if one.profile is not None and one.profile == profile]
        return (*([nearest] if nearest is not None else []), *own)

    def declare(self, expected: Mapping[str, str], *, directory: Path | None, profile: str | None) -> Expectation:
        """Expect this, in place of what was declared for the same directory or profile."""
        ordered = {field: expected[field] for field in FIELDS if field in expected}
        new = Expectation(None if directory is None else os.path.realpath(directory), profile, ordered)
        with locked(self._lock, _WRITE_TIMEOUT, self._clock):
            self._write([*(one for one in self.all() if one.place != new.place), new])
        return new

    def remove(self, *, directory: Path | None, profile: str | None) -> Expectation | None:
        """Expect nothing of this directory or profile any more; return what was."""
        target = Expectation(None if directory is None else os.path.realpath(directory), profile, {})
        with locked(self._lock, _WRITE_TIMEOUT, self._clock):
            declared = self.all()
            found = next((one for one in declared if one.place == target.place), None)
            if found is not None:
                self._write([one for one in declared if one is not found])
            return found

    def rename(self, old: str, new: str) -> None:
        """Let what is expected of the profile ``old`` be expected of ``new``."""
        with locked(self._lock, _WRITE_TIMEOUT, self._clock):
            declared = self.all()
            if any(one.profile == old for one in declared):
                kept = [one for one in declared if one.profile not in (old, new) or one.profile is None]
                moved = [Expectation(None, new, one.expected) for one in declared if one.profile == old]
                self._write([*kept, *moved])

    def all(self) -> tuple[Expectation, ...]:
        """Return every declaration, directories first.

        Raises:
            UnreadableFile: the file is damaged or not private.
        """
        data = read_private(self._path)
        if data is None:
            return ()
        import json

        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                raise ValueError(SCHEMA)
            directories = [Expectation(path, None, _fields(raw)) for path, raw in document["directories"].items()]
            return (
                *directories,
                *(Expectation(None, name, _fields(raw)) for name, raw in document["profiles"].items()),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UnreadableFile(
                f"{self._path} is damaged, so it is not known who may pay here.",
                hint=f"Remove {self._path} and declare again with keystead expect.",
            ) from None

    def _write(self, declared: list[Expectation]) -> None:
        import json

        document = {
            "schema": SCHEMA,
            "directories": {one.directory: dict(one.expected) for one in declared if one.directory is not None},
            "profiles": {one.profile: dict(one.expected) for one in declared if one.profile is not None},
        }
        self._files.sweep(self._path)
        self._files.put(self._path, json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")


def _fields(raw: dict[str, Any]) -> dict[str, str]:
    """Return a declaration; one that expects something unknown is damaged, for it could not be held to it."""
    if not raw or not all(field in FIELDS and isinstance(value, str) for field, value in raw.items()):
        raise ValueError("fields")
    return {field: raw[field] for field in FIELDS if field in raw}
