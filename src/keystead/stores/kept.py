"""A store of logins as one record in a :class:`~keystead.stores.places.Place`, whatever that place is."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from keystead.clock import Clock
from keystead.credentials import Login, LoginKind
from keystead.errors import UnreadableFile
from keystead.stores import DEFAULT_PROFILE
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked
from keystead.stores.places import Place, StillPlace

if TYPE_CHECKING:
    from keystead.stores.record import Record

_WRITE_TIMEOUT: Final = 10.0
"""Seconds to wait for another writer; a write takes milliseconds in a file, seconds in a keyring."""


class Condition(StrEnum):
    """What state a record is in.

    SOUND: nothing to do. DAMAGED: the one before it is used. LOST: damaged, with none before it. NEWER: of a later
    version. NO_PREVIOUS: sound, but the one before it is damaged. SUMMARY: sound, but the summary says otherwise.
    """

    SOUND = "sound"
    DAMAGED = "damaged"
    LOST = "lost"
    NEWER = "newer"
    NO_PREVIOUS = "no_previous"
    SUMMARY = "summary"


class RecordStore:
    """Logins in one record.

    Two kinds of locks: one per login, held while it is renewed over the network, and one for the record, held
    while it is written. The second is only ever taken after the first, so they cannot block one another.

    Args:
        directory: the state directory, with the locks; created with the first write.
        place: where the record rests.
        summary: a file for everything but the secrets, where asking the place may ask the person (R-06).
        unmoved: raises when sign-ins are kept elsewhere by now; asked before every write.
    """

    def __init__(
        self,
        directory: Path,
        place: Place,
        clock: Clock,
        files: Files | None = None,
        *,
        summary: Path | None = None,
        unmoved: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._profile = DEFAULT_PROFILE
        self._place = place
        self._clock = clock
        self._files = files or Files()
        self._summary = summary
        self._read_summary: Callable[[], bytes | None] = lambda: None if summary is None else read_private(summary)
        self._unmoved = unmoved

    @property
    def location(self) -> str:
        return self._place.location

    @property
    def profile(self) -> str:
        return self._profile

    def at(self, profile: str) -> Self:
        view = copy.copy(self)
        view._profile = profile
        return view

    def still(self) -> Self:
        view = copy.copy(self)
        view._place = StillPlace(self._place)
        view._read_summary = cache(self._read_summary)
        return view

    def profiles(self) -> tuple[str, ...]:
        found = self._summarized() or self.record()
        return tuple(sorted({profile for profile, _ in found.logins})) if found else ()

    def rename(self, profile: str) -> None:
        with self.writing():
            self._write(self._read_for_writing().renamed(self._profile, profile))

    def load(self, kind: LoginKind) -> Login | None:
        found = self.record()
        return found.logins.get((self._profile, kind)) if found else None

    def peek(self, kind: LoginKind) -> Login | None:
        known = self._summarized()
        return self.load(kind) if known is None else known.logins.get((self._profile, kind))

    def save(self, login: Login) -> Login:
        from keystead.stores.generations import successor

        return self._change(login.kind, lambda stored: successor(login, stored))

    def restore(self, kind: LoginKind) -> Login:
        from keystead.stores.generations import restored

        return self._change(kind, restored)

    def forget(self, login: Login) -> None:
        from keystead.stores.generations import without

        stored = self.load(login.kind)
        if stored is not None and without(stored, login) != stored:
            self._change(login.kind, lambda found: without(found or login, login))

    def delete(self, kind: LoginKind) -> Login | None:
        with self.writing():
            found = self.record()
            removed = found.logins.get((self._profile, kind)) if found else None
            if found is None or removed is None:
                return None
            left = found.without(self._profile, kind)
            self._place.clear(but=_dumped(left))  # no generation of a deleted login stays behind
            self._summarize(left)
            return removed

    def lock(self, kind: LoginKind, timeout: float) -> AbstractContextManager[None]:
        name = kind.value if self._profile == DEFAULT_PROFILE else f"{kind}-{self._profile}"
        return locked(self._directory / f"{name}.lock", timeout, self._clock)

    def notes(self) -> tuple[str, ...]:
        if self._summary is not None:
            return ()  # looking may ask the person; `keystead store fsck` looks
        data = self._place.read()
        if not data or _parsed(data) is not None:
            return ()
        return (f"{self.location} is damaged; the generation before it is used until the next sign-in",)

    def record(self) -> "Record | None":
        """Return the record; a damaged one yields the generation before it. Writes nothing.

        Raises:
            UnreadableFile: it cannot be read, or there was something and it is gone.
        """
        data = self._place.read()
        if data is None:
            self._require_nothing_lost()
            return None
        found = _parsed(data)
        if found is None:
            self._require_not_newer(data)
            found = _parsed(self._place.read_previous() or b"")
        if found is None and data:  # a file touched for a container's mount is empty and lost nothing
            raise UnreadableFile(
                f"{self.location} is damaged and there is no generation before it.",
                hint="Run `keystead login`; the damaged one is kept beside the new one.",
            )
        return found

    def condition(self) -> Condition:
        """Say what state the record is in, comparing all there is of it. Writes nothing."""
        data, previous = self._place.read(), self._place.read_previous()
        found = _parsed(data or b"")
        before = _parsed(previous or b"")
        if data and found is None:
            if _is_newer(data):
                return Condition.NEWER
            return Condition.DAMAGED if before is not None else Condition.LOST
        if found is not None and previous and before is None:
            return Condition.NO_PREVIOUS
        if found is not None and self._summary is not None and not self._is_summarized(found):
            return Condition.SUMMARY
        return Condition.SOUND

    def repair(self) -> None:
        """Put the record, the one before it and the summary right again; a damaged record is kept aside."""
        with self.writing():
            record = self._read_for_writing()
            self._place.write(_dumped(record), _dumped(record))
            self._summarize(record)

    def start(self, record: "Record | None") -> None:
        """Begin with ``record``, or with nothing, in place of everything here; only within :meth:`writing`."""
        from keystead.stores.record import Record

        if record is not None:
            found = self._place.read()
            if found:  # left by an earlier choice: not lost, and out of the way
                self._place.set_aside(found)
            self._place.write(_dumped(record), None)
        self._summarize(record or Record(store_id=""))

    def discard(self) -> None:
        """Remove everything that is kept here, and nothing else; only within :meth:`writing`."""
        self._place.clear(but=None)
        self.discard_summary()

    def discard_summary(self) -> None:
        """Remove what is known without asking the place; for a place where nothing is kept."""
        if self._summary is not None:
            self._summary.unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write the record.

        Raises:
            StoreBusy: another process held it for too long.
            TemporaryFailure: sign-ins are kept elsewhere by now.
        """
        with locked(self._directory / "credentials.lock", _WRITE_TIMEOUT, self._clock):
            self._unmoved()
            yield

    def _change(self, kind: LoginKind, change: Callable[[Login | None], Login]) -> Login:
        with self.writing():
            current = self._read_for_writing()
            changed = change(current.logins.get((self._profile, kind)))
            self._write(current.with_login(self._profile, changed))
            return changed

    def _read_for_writing(self) -> "Record":
        """Return the record to change; a damaged one is copied aside before it is overwritten."""
        from keystead.stores.record import Record

        data = self._place.read()
        if data and _parsed(data) is None:
            self._require_not_newer(data)
            self._place.set_aside(data)
        found = _parsed(data or b"") or (_parsed(self._place.read_previous() or b"") if data is not None else None)
        return found or Record(store_id=self._files.random_bytes(16).hex())

    def _write(self, changed: "Record") -> None:
        before = self._place.read()
        undamaged = before is not None and _parsed(before) is not None
        self._place.write(_dumped(changed), before if undamaged else None)
        self._summarize(changed)

    def _summarize(self, record: "Record") -> None:
        if self._summary is not None:
            from keystead.stores.record import summary

            self._files.sweep(self._summary)
            self._files.put(self._summary, _dumped(summary(record)))

    def _summarized(self) -> "Record | None":
        """Return what is known without asking the place, or None when it must be asked."""
        data = self._read_summary()
        return _parsed(data) if data else None

    def _is_summarized(self, record: "Record") -> bool:
        from keystead.stores.record import summary

        known = self._summarized()
        return known is not None and known.logins == summary(record).logins

    def _require_not_newer(self, data: bytes) -> None:
        if _is_newer(data):
            raise UnreadableFile(
                f"{self.location} was written by a newer version of Keystead.",
                hint="Upgrade this one; nothing is lost.",
            )

    def _require_nothing_lost(self) -> None:
        """A place that says "nothing" about a login it was given has lost it; nobody was signed out (R-08)."""
        known = self._summarized()
        if known is not None and known.logins:
            raise UnreadableFile(
                f"{self.location} no longer holds the sign-in that was kept there.",
                hint="Unlock the keyring it was kept in, or run `keystead login`.",
            )


def _parsed(data: bytes) -> "Record | None":
    from keystead.stores import record  # on demand: without a file there is nothing to parse

    try:
        return record.parse(data)
    except record.MalformedRecord:
        return None


def _dumped(content: "Record") -> bytes:
    from keystead.stores import record

    return record.dump(content)


def _is_newer(data: bytes) -> bool:
    """Whether this is a record of a later schema than ours."""
    import json

    from keystead.stores.record import SCHEMA

    try:
        schema = json.loads(data)["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(schema, str) and schema != SCHEMA and schema.startswith(SCHEMA.rpartition("/")[0] + "/")
