"""What a person has been told once in a directory: ``notices.json`` of the state directory (R-03)."""

import os
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.errors import KeysteadError
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked

SCHEMA: Final = "keystead.notices/1"
_WRITE_TIMEOUT: Final = 1.0
_MOST: Final = 1000
"""Directories that are remembered; the oldest is told again."""


class Notices:
    """Real path of a directory -> the subjects that were told there."""

    def __init__(self, directory: Path, clock: Clock, files: Files | None = None) -> None:
        self._path = directory / "notices.json"
        self._lock = directory / "notices.lock"
        self._clock = clock
        self._files = files or Files()

    def first(self, directory: Path, subject: str) -> bool:
        """Remember ``subject`` for ``directory``; tell whether it was new there.

        Where nothing can be remembered it is new each time: rather told twice than never.
        """
        real = os.path.realpath(directory)
        if subject in self._told().get(real, []):
            return False
        try:
            with locked(self._lock, _WRITE_TIMEOUT, self._clock):
                told = self._told()
                told[real] = [*told.pop(real, []), subject]
                self._write(dict(list(told.items())[-_MOST:]))
        except KeysteadError:
            return True
        return True

    def _told(self) -> dict[str, list[str]]:
        """Return what was told; a damaged file has told nothing."""
        import json

        try:
            document = json.loads(read_private(self._path) or b"{}")
            told = document.get("told", {}) if document.get("schema") == SCHEMA else {}
            return {path: [str(one) for one in subjects] for path, subjects in told.items()}
        except (KeysteadError, ValueError, TypeError, AttributeError, RecursionError):
            return {}

    def _write(self, told: dict[str, list[str]]) -> None:
        import json

        self._files.sweep(self._path)
        self._files.put(self._path, json.dumps({"schema": SCHEMA, "told": told}, indent=1).encode() + b"\n")
