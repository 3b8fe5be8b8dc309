"""The file store: ``credentials.json`` in the state directory, 0600, atomic, with the generation before it."""

import copy
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from keystead.clock import Clock
from keystead.credentials import Login, LoginKind
from keystead.errors import UnreadableFile
from keystead.stores import DEFAULT_PROFILE
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked

if TYPE_CHECKING:
    from keystead.stores.record import Record

_WRITE_TIMEOUT: Final = 10.0
"""Seconds to wait for another writer; a write takes milliseconds."""


class FileStore:
    """Logins in one file.

    Two kinds of locks: one per login, held while it is renewed over the network, and one for the file, held
    while it is written. The second is only ever taken after the first, so they cannot block one another.

    Args:
        directory: the state directory; created with the first write.
        files: the steps of a write; tests pass one that dies.
    """

    def __init__(self, directory: Path, clock: Clock, files: Files | None = None) -> None:
        self._directory = directory
        self._profile = DEFAULT_PROFILE
        self._path = directory / "credentials.json"
        self._previous = directory / "credentials.previous.json"
        self._clock = clock
        self._files = files or Files()

    @property
    def location(self) -> str:
        return str(self._path)

    @property
    def profile(self) -> str:
        return self._profile

    def at(self, profile: str) -> Self:
        view = copy.copy(self)
        view._profile = profile
        return view

    def profiles(self) -> tuple[str, ...]:
        found = self._read()
        return tuple(sorted({profile for profile, _ in found.logins})) if found else ()

    def rename(self, profile: str) -> None:
        with self._writing():
            self._write(self._read_for_writing().renamed(self._profile, profile))

    def load(self, kind: LoginKind) -> Login | None:
        found = self._read()
        return found.logins.get((self._profile, kind)) if found else None

    def save(self, login: Login) -> Login:
        with self._writing():
            current = self._read_for_writing()
            stored = current.logins.get((self._profile, login.kind))
            generation = max(login.generation, stored.generation if stored else 0) + 1
            saved = replace(login, generation=generation)
            self._write(current.with_login(self._profile, saved))
            return saved

    def delete(self, kind: LoginKind) -> Login | None:
        with self._writing():
            found = self._read()
            removed = found.logins.get((self._profile, kind)) if found else None
            if found is None or removed is None:
                return None
            data = _dumped(found.without(self._profile, kind))
            self._files.put(self._path, data)
            self._files.put(self._previous, data)  # no generation of a deleted login stays behind
            for quarantined in self._directory.glob("credentials.damaged-*.json"):
                quarantined.unlink(missing_ok=True)
            return removed

    def lock(self, kind: LoginKind, timeout: float) -> AbstractContextManager[None]:
        name = kind.value if self._profile == DEFAULT_PROFILE else f"{kind}-{self._profile}"
        return locked(self._directory / f"{name}.lock", timeout, self._clock)

    def notes(self) -> tuple[str, ...]:
        data = read_private(self._path)
        if not data or _parsed(data) is not None:
            return ()
        return (f"{self._path} is damaged; the generation before it is used until the next sign-in",)

    def _writing(self) -> AbstractContextManager[None]:
        return locked(self._directory / "credentials.lock", _WRITE_TIMEOUT, self._clock)

    def _read(self) -> "Record | None":
        """Return the record; a damaged file yields the generation before it. Writes nothing."""
        data = read_private(self._path)
        if data is None:
            return None
        found = _parsed(data) or _parsed(read_private(self._previous) or b"")
        if found is None and data:  # a file touched for a container's mount is empty and lost nothing
            raise UnreadableFile(
                f"{self._path} is damaged and there is no generation before it.",
                hint="Run `keystead login`; the damaged file is kept beside the new one.",
            )
        return found

    def _read_for_writing(self) -> "Record":
        """Return the record to change; a damaged file is copied aside before it is overwritten."""
        from keystead.stores.record import Record

        data = read_private(self._path)
        if data is None:
            return Record(store_id=self._files.random_bytes(16).hex())
        if data and _parsed(data) is None:
            aside = self._directory / f"credentials.damaged-{int(self._clock.now())}.json"
            self._files.put(aside, data)
        found = _parsed(data) or _parsed(read_private(self._previous) or b"")
        return found or Record(store_id=self._files.random_bytes(16).hex())

    def _write(self, changed: "Record") -> None:
        self._files.sweep(self._path)
        self._files.sweep(self._previous)
        before = read_private(self._path)
        if before is not None and _parsed(before) is not None:
            self._files.put(self._previous, before)
        self._files.put(self._path, _dumped(changed))


def _parsed(data: bytes) -> "Record | None":
    from keystead.stores import record  # on demand: without a file there is nothing to parse

    try:
        return record.parse(data)
    except record.MalformedRecord:
        return None


def _dumped(content: "Record") -> bytes:
    from keystead.stores import record

    return record.dump(content)
