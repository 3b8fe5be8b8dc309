"""The file store: ``credentials.json`` in the state directory, 0600, atomic, with the generation before it."""

from collections.abc import Callable
from pathlib import Path

from keystead.clock import Clock
from keystead.stores.files import Files
from keystead.stores.kept import RecordStore
from keystead.stores.places import FilePlace


class FileStore(RecordStore):
    """Logins in one file.

    Args:
        directory: the state directory; created with the first write.
        files: the steps of a write; tests pass one that dies.
        unmoved: as for the store it is.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        files: Files | None = None,
        *,
        unmoved: Callable[[], None] = lambda: None,
    ) -> None:
        files = files or Files()
        super().__init__(directory, FilePlace(directory, clock, files), clock, files, unmoved=unmoved)
