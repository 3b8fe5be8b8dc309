"""Which profile belongs to which directory: ``bindings.json`` of the state directory (R-04), out of a clone's reach."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.errors import UnreadableFile
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked

SCHEMA: Final = "keystead.bindings/1"
_WRITE_TIMEOUT: Final = 10.0


class Bindings:
    """Real path of a directory -> profile, for the directory and everything below it. Reading writes nothing."""

    def __init__(self, directory: Path, clock: Clock, files: Files | None = None) -> None:
        self._path = directory / "bindings.json"
        self._lock = directory / "bindings.lock"
        self._clock = clock
        self._files = files or Files()

    def nearest(self, directory: Path) -> tuple[str, str] | None:
        """Return the bound directory that is nearest above ``directory``, or itself, and its profile.

        Raises:
            UnreadableFile: what is bound cannot be read, so which account is meant is not known.
        """
        bound = self.all()
        if not bound:
            return None
        real = Path(os.path.realpath(directory))
        found = next((str(one) for one in (real, *real.parents) if str(one) in bound), None)
        return (found, bound[found]) if found is not None else None

    def bind(self, directory: Path, profile: str) -> str:
        """Bind ``directory`` to ``profile`` in place of another; return its real path."""
        real = os.path.realpath(directory)
        with locked(self._lock, _WRITE_TIMEOUT, self._clock):
            self._write({**self.all(), real: profile})
        return real

    def unbind(self, directory: Path) -> str | None:
        """Bind ``directory`` to nothing; return the profile it was bound to itself, or None."""
        real = os.path.realpath(directory)
        with locked(self._lock, _WRITE_TIMEOUT, self._clock):
            bound = dict(self.all())
            profile = bound.pop(real, None)
            if profile is not None:
                self._write(bound)
            return profile

    def rename(self, old: str, new: str | None) -> None:
        """Bind the directories of ``old`` to ``new``, or with None to nothing."""
        with locked(self._lock, _WRITE_TIMEOUT, self._clock):
            bound = self.all()
            moved = {path: new if profile == old else profile for path, profile in bound.items()}
            kept = {path: profile for path, profile in moved.items() if profile is not None}
            if kept != bound:
                self._write(kept)

    def all(self) -> Mapping[str, str]:
        """Return every binding, real path to profile.

        Raises:
            UnreadableFile: the file is damaged or not private.
        """
        data = read_private(self._path)
        if data is None:
            return {}
        import json

        try:
            document = json.loads(data)
            bound = document["bindings"]
            if document["schema"] != SCHEMA or not all(isinstance(profile, str) for profile in bound.values()):
                raise ValueError(SCHEMA)
            return dict(sorted(bound.items()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UnreadableFile(
                f"{self._path} is damaged, so it is not known which profile belongs here.",
                hint=f"Choose with --profile NAME, or remove {self._path} and bind the directories again.",
            ) from None

    def _write(self, bound: Mapping[str, str]) -> None:
        import json

        self._files.sweep(self._path)
        self._files.put(self._path, json.dumps({"schema": SCHEMA, "bindings": bound}, indent=1).encode() + b"\n")
