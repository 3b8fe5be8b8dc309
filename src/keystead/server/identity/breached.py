"""Whether a password is in a file of breached ones, which is searched and never loaded.

The file has the well-known format of "pwned passwords ordered by hash": one line for each password, the upper-case
hexadecimal SHA-1 of it, a colon and how often it was seen, sorted by the hash. It has tens of gigabytes; a look-up
reads about forty blocks of it.
"""

import hashlib
import re
from pathlib import Path
from typing import BinaryIO, Final

from keystead.errors import ConfigurationError

_LINE: Final = re.compile(rb"[0-9A-F]{40}(:[0-9]+)?\r?\n?")
_LONGEST_LINE: Final = 200


def contains(file: Path, password: str) -> bool:
    """Return whether ``password`` is listed.

    Raises:
        ConfigurationError: the file cannot be read, or is not of the format; a list that cannot be asked says no "no".
    """
    # The hash is the file's way of naming a password; it protects nothing here.
    wanted = hashlib.sha1(password.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest().upper().encode()
    try:
        with file.open("rb") as handle:
            return _search(handle, file, wanted)
    except OSError as error:
        raise _unusable(file, error.strerror or "it cannot be read") from error


def check(file: Path) -> None:
    """Check at the start that the file can be asked.

    Raises:
        ConfigurationError: it cannot be read, or is not of the format.
    """
    contains(file, "")
    if file.stat().st_size == 0:
        raise _unusable(file, "it is empty")


def _search(handle: BinaryIO, file: Path, wanted: bytes) -> bool:
    """Halve the span of bytes in which the wanted line may begin until it is one line."""
    low, high = 0, handle.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        begin, line = _line_at_or_after(handle, file, middle, high)
        if begin >= high:
            high = middle
        elif line[:40] == wanted:
            return True
        elif line[:40] < wanted:
            low = begin + len(line)
        else:
            high = middle
    return False


def _line_at_or_after(handle: BinaryIO, file: Path, position: int, end: int) -> tuple[int, bytes]:
    """Return where the first line that begins at ``position`` or later begins, and the line; ``end`` if none does."""
    if position == 0:
        handle.seek(0)
    else:
        handle.seek(position - 1)
        handle.readline(_LONGEST_LINE)  # the rest of the line before, or its end only
    begin = handle.tell()
    if begin >= end:
        return end, b""
    line = handle.readline(_LONGEST_LINE)
    if not _LINE.fullmatch(line):
        raise _unusable(file, f"at byte {begin} stands no line HASH:COUNT with an upper-case SHA-1")
    return begin, line


def _unusable(file: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The list of breached passwords {file} is of no use: {why}.",
        hint="KEYSTEAD_SERVER_BREACHED_PASSWORDS_FILE names a file ordered by hash; correct or remove it.",
        move="operator",
    )
