"""Private files: written whole or not at all, readable by their owner only, locked by the operating system.

Every step that reaches the disk is a method of :class:`Files`, so that a test can die between any two.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from keystead.errors import StoreUnavailable, UnreadableFile

_POSIX: Final = sys.platform != "win32"
_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022
_BLOCK: Final = 1 << 16
_READING: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Files:
    """The steps of a durable write."""

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self.random_bytes = random_bytes

    def create(self, path: Path) -> int:
        """Create ``path``, which must not exist, for its owner only; return the descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of ``data``."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        """Wait until the file is on the disk."""
        os.fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Give ``source`` the name of ``target`` in one step."""
        source.replace(target)

    def sync_directory(self, directory: Path) -> None:
        """Wait until the names in ``directory`` are on the disk; a no-op where directories cannot be opened."""
        if not _POSIX:
            return
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def put(self, path: Path, data: bytes) -> None:
        """Replace the content of ``path`` durably; a symlink stays one and its target is replaced.

        Raises:
            StoreUnavailable: it could not be written; the old content is still there.
        """
        target = Path(os.path.realpath(path))
        try:
            make_private_directory(path.parent)
            self._put(target, data)
        except OSError as error:
            raise StoreUnavailable(
                f"{path} cannot be written: {(error.strerror or type(error).__name__).lower()}.",
                hint=f"Free some space or make {path.parent} writable; what was stored before is still there.",
            ) from None

    def _put(self, target: Path, data: bytes) -> None:
        temporary = target.with_name(f".{target.name}.{self.random_bytes(6).hex()}.tmp")
        try:
            descriptor = self.create(temporary)
            try:
                self.write(descriptor, data)
                self.sync(descriptor)
            finally:
                os.close(descriptor)
            self._take_place(temporary, target, data)
            self.sync_directory(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def _take_place(self, temporary: Path, target: Path, data: bytes) -> None:
        try:
            self.replace(temporary, target)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            # A file that is itself a mount point (containers) cannot be renamed over: write into it. The
            # previous generation, written first, covers a crash in between.
            descriptor = os.open(target, os.O_WRONLY | os.O_TRUNC)
            try:
                self.write(descriptor, data)
                self.sync(descriptor)
            finally:
                os.close(descriptor)

    def sweep(self, path: Path) -> None:
        """Remove temporary files that a killed writer of ``path`` left; only for the holder of the write lock."""
        target = Path(os.path.realpath(path))
        for orphan in target.parent.glob(f".{target.name}.*.tmp"):
            orphan.unlink(missing_ok=True)


def make_private_directory(directory: Path) -> None:
    """Create ``directory`` with mode 0700 unless it exists.

    Raises:
        UnreadableFile: it exists and others may write in it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _POSIX and stat.S_IMODE(directory.stat().st_mode) & _OTHERS_WRITE:
        raise UnreadableFile(f"Others may write in {directory}.", hint=f"Run: chmod 700 {directory}")


def read_private(path: Path) -> bytes | None:
    """Return the content of ``path``, or None when it does not exist.

    Raises:
        UnreadableFile: others may read it, it belongs to somebody else, or it cannot be read.
    """
    try:
        return read(path, lambda status: require_private(path, status))
    except OSError as error:
        raise _unreadable(path, error) from None


def read(path: Path, require: Callable[[os.stat_result], None]) -> bytes | None:
    """Return the content of ``path``, or None when it does not exist; what was looked at is what is read.

    Args:
        path: opened without waiting, whatever it is.
        require: raises when a file of this sort must not be read.

    Raises:
        OSError: it cannot be read.
    """
    try:
        descriptor = os.open(path, _READING)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        status = os.fstat(descriptor)
        require(status)
        content = part = os.read(descriptor, status.st_size + 1)
        while part and (len(content) > status.st_size or not stat.S_ISREG(status.st_mode)):  # it grows, or is a pipe
            part = os.read(descriptor, _BLOCK)
            content += part
        return content
    finally:
        os.close(descriptor)


def require_private(path: Path, status: os.stat_result) -> None:
    """Hold a file to what :func:`read_private` reads.

    Raises:
        UnreadableFile: it is not a file, others may read it, or it belongs to somebody else.
    """
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFile(f"{path} is not a regular file.", hint=f"Move {path} away.")
    if not _POSIX:
        return  # the profile directory's access control list protects it
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise UnreadableFile(f"{path} is open to other users (mode {mode:04o}).", hint=f"Run: chmod 600 {path}")
    if status.st_uid not in (os.geteuid(), 0):
        raise UnreadableFile(f"{path} belongs to another user.", hint=f"Run: chown $(id -un) {path}")


def _unreadable(path: Path, error: OSError) -> UnreadableFile:
    reason = (error.strerror or type(error).__name__).lower()
    return UnreadableFile(f"{path} cannot be read: {reason}.", hint=f"Make {path} readable for your user only.")
