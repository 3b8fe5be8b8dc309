"""The directory a server lives in: private to its owner, with one server at a time.

It holds the database, the key that signs Django's cookies, the mail outbox and ``keystead.toml``.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from keystead.errors import StoreBusy, UnreadableFile
from keystead.secret import Secret

_KEY_BYTES: Final = 48
_PREVIOUS: Final = "secret-key-previous"


def prepare(path: Path) -> None:
    """Create the directory with mode 0700, or check the one that is there.

    Raises:
        UnreadableFile: it cannot be created or written, or others may enter it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnreadableFile(
            f"The data directory {path} cannot be created: {error.strerror}.",
            hint="Set KEYSTEAD_SERVER_DATA_DIR to a directory you own.",
            move="operator",
        ) from error
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnreadableFile(
            f"The data directory {path} can be entered by other users.",
            hint=f"Run: chmod 700 {path}",
            move="operator",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise UnreadableFile(
            f"The data directory {path} cannot be written.",
            hint="Set KEYSTEAD_SERVER_DATA_DIR to a directory you own.",
            move="operator",
        )


def secret_key(path: Path, random_bytes: Callable[[int], bytes]) -> Secret:
    """Return the installation's signing key, made at first use and kept with mode 0600."""
    file = path / "secret-key"
    try:
        return Secret(file.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        write_private(file, random_bytes(_KEY_BYTES).hex().encode("ascii"))
        return secret_key(path, random_bytes)


def previous_secret_key(path: Path) -> Secret | None:
    """Return the key before this one, while something may still rest under it; see :func:`replace_secret_key`."""
    try:
        return Secret((path / _PREVIOUS).read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None


def replace_secret_key(path: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Make a new signing key, with the one before beside it; a replacement that was interrupted is completed.

    The one before is written first: whenever this stops, both files together open all that was ever sealed.
    """
    current, previous = secret_key(path, random_bytes), previous_secret_key(path)
    if previous is not None and previous != current:
        return
    write_private(path / _PREVIOUS, (path / "secret-key").read_bytes())
    draft = path / ".secret-key.new"
    draft.unlink(missing_ok=True)
    write_private(draft, random_bytes(_KEY_BYTES).hex().encode("ascii"))
    draft.replace(path / "secret-key")
    _sync_directory(path)


def forget_previous_secret_key(path: Path) -> None:
    """Remove the key before this one: nothing rests under it any more."""
    (path / _PREVIOUS).unlink(missing_ok=True)
    _sync_directory(path)


def write_private(file: Path, content: bytes) -> None:
    """Put ``content`` into a new file of mode 0600, whole or not at all; an existing file wins.

    The link fails when the name is taken, so of two servers starting at once both read the same key.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
    _sync_directory(file.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def only_server(path: Path) -> Iterator[None]:
    """Hold the directory for one server process; the operating system releases it if that process dies.

    Raises:
        StoreBusy: another server runs on the same directory.
    """
    import fcntl

    with (path / "server.lock").open("w", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreBusy(
                f"Another Keystead server already runs on {path}.",
                hint="Use that one, stop it first, or set KEYSTEAD_SERVER_DATA_DIR for a second one.",
                move="operator",
            ) from error
        yield
