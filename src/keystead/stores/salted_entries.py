"""A file of what a person decided about secrets and commands, which stand in it as salted hashes only.

Nobody may lose a decision: a file that is damaged is an error, never an empty list.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from keystead.clock import Clock
from keystead.errors import UnreadableFile
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Entry = TypeVar("Entry", bound=DataclassInstance)
else:
    Entry = TypeVar("Entry")

_WRITE_TIMEOUT: Final = 10.0


class SaltedEntries(Generic[Entry]):
    """The entries of one file of the state directory, with the salt of their hashes. Reading writes nothing.

    Args:
        path: the file; its lock lies beside it.
        schema: what the file says it is.
        field: the member that holds the entries.
        parse: makes an entry; raises KeyError, TypeError or ValueError for what is none.
        loss: what removing a damaged file means, after "Remove …".
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        field: str,
        parse: Callable[[dict[str, Any]], Entry],
        loss: str,
        files: Files | None = None,
    ) -> None:
        self.path = path
        self._schema = schema
        self._field = field
        self._parse = parse
        self._loss = loss
        self._files = files or Files()

    def lock(self, clock: Clock) -> AbstractContextManager[None]:
        """Hold the right to change the file, across all processes."""
        return locked(self.path.with_suffix(".lock"), _WRITE_TIMEOUT, clock)

    def new_salt(self) -> bytes:
        """Return a salt for a file that has none yet."""
        return self._files.random_bytes(16)

    def read(self) -> tuple[bytes, list[Entry]]:
        """Return the salt and the entries; without a file both are empty.

        Raises:
            UnreadableFile: others may read it, or it is damaged.
        """
        data = read_private(self.path)
        if data is None:
            return b"", []
        import json  # on demand, for the sake of start-up

        try:
            document = json.loads(data)
            if document["schema"] != self._schema:
                raise ValueError(self._schema)
            return bytes.fromhex(document["salt"]), [self._parse(raw) for raw in document[self._field]]
        except (ValueError, KeyError, TypeError, RecursionError):
            hint = f"Remove {self.path}{self._loss}"
            raise UnreadableFile(f"{self.path} is damaged.", hint=hint) from None

    def write(self, salt: bytes, entries: Iterable[Entry]) -> None:
        """Replace the file, durably; call it under :meth:`lock`."""
        import json

        document = {"schema": self._schema, "salt": salt.hex(), self._field: [asdict(one) for one in entries]}
        self._files.sweep(self.path)
        self._files.put(self.path, json.dumps(document, indent=1).encode() + b"\n")
