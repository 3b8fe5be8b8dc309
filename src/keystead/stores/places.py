"""Where the bytes of the record rest. A place knows nothing of logins; :mod:`keystead.stores.file` knows no place."""

import os
from functools import cache
from pathlib import Path
from typing import NoReturn, Protocol

from keystead.clock import Clock
from keystead.errors import KeysteadError
from keystead.stores.files import Files, read_private


class Place(Protocol):
    """Keeps one value and the one before it.

    Every method raises UnreadableFile or StoreUnavailable when the place cannot be used; that a place does not
    answer never means that it is empty (R-08).
    """

    @property
    def location(self) -> str:
        """Where it is, for people."""

    def read(self) -> bytes | None:
        """Return the value, or None when there is none."""

    def read_previous(self) -> bytes | None:
        """Return the value before it, or None when there is none."""

    def write(self, data: bytes, previous: bytes | None) -> None:
        """Keep ``data`` durably, and ``previous`` as what was before it; None leaves that as it is."""

    def set_aside(self, data: bytes) -> None:
        """Keep a damaged value where nothing reads it again."""

    def clear(self, *, but: bytes | None) -> None:
        """Remove every value, earlier ones and those set aside; or keep ``but`` alone, in both generations."""


class FilePlace:
    """Two files of mode 0600 in the state directory.

    Args:
        directory: created with the first write.
        stem: of the file names, ``credentials`` for ``credentials.json`` and ``credentials.previous.json``.
    """

    def __init__(self, directory: Path, clock: Clock, files: Files | None = None, *, stem: str = "credentials") -> None:
        self._directory = directory
        self._stem = stem
        self._path = directory / f"{stem}.json"
        self._previous = directory / f"{stem}.previous.json"
        self._clock = clock
        self._files = files or Files()

    @property
    def location(self) -> str:
        return str(self._path)

    def read(self) -> bytes | None:
        return read_private(self._path)

    def read_previous(self) -> bytes | None:
        return read_private(self._previous)

    def write(self, data: bytes, previous: bytes | None) -> None:
        self._files.sweep(self._path)
        self._files.sweep(self._previous)
        if previous is not None:
            self._files.put(self._previous, previous)
        self._files.put(self._path, data)

    def set_aside(self, data: bytes) -> None:
        self._files.put(self._directory / f"{self._stem}.damaged-{int(self._clock.now())}.json", data)

    def clear(self, *, but: bytes | None) -> None:
        for path in (self._path, self._previous):
            if but is not None:
                self._files.put(path, but)
            else:
                Path(os.path.realpath(path)).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
        for aside in self._directory.glob(f"{self._stem}.damaged-*.json"):
            aside.unlink(missing_ok=True)


class StillPlace:
    """A place that is read once."""

    def __init__(self, place: Place) -> None:
        self.location = place.location
        self.read = cache(place.read)
        self.read_previous = cache(place.read_previous)
        self.write, self.set_aside, self.clear = place.write, place.set_aside, place.clear


class UnusablePlace:
    """A place that is known to be unusable: everything but its name raises why."""

    def __init__(self, location: str, problem: KeysteadError) -> None:
        self.location = location
        self._problem = problem

    def read(self) -> NoReturn:
        raise self._problem

    def read_previous(self) -> NoReturn:
        raise self._problem

    def write(self, data: bytes, previous: bytes | None) -> NoReturn:  # noqa: ARG002
        raise self._problem

    def set_aside(self, data: bytes) -> NoReturn:  # noqa: ARG002
        raise self._problem

    def clear(self, *, but: bytes | None) -> NoReturn:  # noqa: ARG002
        raise self._problem
