"""Take every sign-in from one store to another: copied, read back, remembered, and only then removed."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from keystead.credentials import LoginKind
from keystead.errors import StoreUnavailable
from keystead.stores.kept import RecordStore

_PATIENCE: Final = 60.0
"""Seconds to wait for a renewal under way; what it brings must not be left behind."""


def move(source: RecordStore, target: RecordStore, remember: Callable[[], object]) -> int:
    """Move all logins of all profiles; return how many there are.

    What stops it before ``remember`` leaves ``source`` in force and whole, and after that ``target``.

    Args:
        source: the store in force.
        target: another one in the same state directory.
        remember: makes ``target`` the one in force.

    Raises:
        StoreBusy: a login is being renewed.
        StoreUnavailable: ``target`` did not keep what it was given; nothing has changed.
    """
    with ExitStack() as held:
        for profile in source.profiles():
            for kind in LoginKind:
                held.enter_context(source.at(profile).lock(kind, _PATIENCE))
        held.enter_context(source.writing())  # of the directory, so the target's too
        record = source.record() if source.profiles() else None
        before = target.record() if record is not None else None
        try:
            target.start(record)
            if record is not None and target.record() != record:
                raise StoreUnavailable(
                    f"{target.location} did not keep the sign-ins.", hint=f"They are still in {source.location}."
                )
        except BaseException:
            if record is not None and before is None:
                target.discard()
            raise
        remember()
        if record is not None:
            source.discard()
        else:
            source.discard_summary()
        return len(record.logins) if record is not None else 0
