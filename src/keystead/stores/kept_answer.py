"""An answer that all processes share until it is no longer good: one small file, 0600, with a lock beside it.

What is kept can be had again, so a file that is not one counts as none. One file for each question: its name is a hash
of all that the answer depends on.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from keystead.clock import Clock
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked
from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed


def named(asked: bytes) -> str:
    """Return the part of a file's name that stands for a question."""
    return hashlib.sha256(asked).hexdigest()[:16]


def of(asked: Mapping[str, str | None]) -> str:
    """Return the same for a question of several parts; parts that are None do not count."""
    return named(fields.dump(dict(sorted(asked.items()))))


class KeptAnswer:
    """The file of one answer.

    Args:
        directory: the state directory.
        name: of the file, without its ending.
        schema: what the file says it is.
        lock: name of the lock where several answers share one; by default ``name``.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        schema: str,
        clock: Clock,
        files: Files | None = None,
        *,
        lock: str | None = None,
    ) -> None:
        self._path = directory / f"{name}.json"
        self._lock = directory / f"{lock or name}.lock"
        self._schema = schema
        self._clock = clock
        self._files = files or Files()

    def read(self) -> Fields | None:
        """Return what is kept; a file that is not one counts as none.

        Raises:
            UnreadableFile: others may read it.
        """
        data = read_private(self._path)
        if data is None:
            return None
        try:
            document = Fields.parse(data, "kept answer")
            return document if document.text("schema") == self._schema else None
        except Malformed:
            return None

    def write(self, document: Mapping[str, Any]) -> None:
        """Keep ``document``, durably.

        Raises:
            StoreUnavailable: it could not be written.
        """
        self._files.sweep(self._path)
        self._files.put(self._path, fields.dump({"schema": self._schema, **document}) + b"\n")

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to ask anew, across all processes."""
        return locked(self._lock, timeout, self._clock)
