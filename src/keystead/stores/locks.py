"""A lock between processes that the operating system releases when its holder dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.errors import StoreBusy, StoreUnavailable
from keystead.stores.files import make_private_directory

_SHORTEST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.25


@contextmanager
def locked(path: Path, timeout: float, clock: Clock) -> Iterator[None]:
    """Hold the lock on ``path`` (created when missing, never removed) for the block.

    Waiting is bounded by time, not by the number of others who wait (R-01).

    Args:
        path: the lock file.
        timeout: seconds.
        clock: what the waiting is measured with.

    Raises:
        StoreBusy: another process held it longer than that.
        StoreUnavailable: the lock file cannot be created.
    """
    try:
        make_private_directory(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be opened: {(error.strerror or type(error).__name__).lower()}.",
            hint=f"Make {path.parent} writable for your user.",
        ) from None
    try:
        _wait(descriptor, path, timeout, clock)
        yield
    finally:
        os.close(descriptor)  # closing releases the lock


def _wait(descriptor: int, path: Path, timeout: float, clock: Clock) -> None:
    deadline = clock.monotonic() + timeout
    pause = _SHORTEST_PAUSE
    while not _take(descriptor):
        remaining = deadline - clock.monotonic()
        if remaining <= 0:
            raise StoreBusy(
                f"Another process has held {path} for more than {timeout:g} s.",
                hint="Try again; if it lasts, look for a stopped keystead process.",
            )
        clock.sleep(min(pause, remaining))
        pause = min(pause * 2, _LONGEST_PAUSE)


if sys.platform != "win32":
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

else:
    import msvcrt

    def _take(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
