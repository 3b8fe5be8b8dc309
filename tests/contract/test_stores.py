"""Every store keeps the one contract."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from keystead.secret import Secret
from keystead.stores import TokenStore
from keystead.stores.file import FileStore
from keystead.stores.kept import RecordStore
from keystead.stores.keyring import KeyringPlace, Operation
from keystead.stores.memory import MemoryStore
from keystead.stores.places import FilePlace
from keystead.stores.sealed import sealed_file
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    """In a dictionary."""

    @pytest.fixture
    def store(self) -> TokenStore:
        return MemoryStore()


class TestFileStore(StoreContract):
    """In a directory that does not exist yet."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> TokenStore:
        return FileStore(tmp_path / "state", FakeClock())


class TestSealedStore(StoreContract):
    """In an encrypted file."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> TokenStore:
        directory, clock = tmp_path / "state", FakeClock()
        place = sealed_file(FilePlace(directory, clock, stem="sealed"), lambda: Secret("correct horse"))
        return RecordStore(directory, place, clock, summary=directory / "summary.json")


class TestKeyringStore(StoreContract):
    """In a keyring whose items are small; real ones are asked in ``unit/stores/test_keyring.py``."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> TokenStore:
        items: dict[str, str] = {}

        def ask(operations: Sequence[Operation]) -> Sequence[str | None]:
            return [_operate(items, *operation) for operation in operations]

        directory, clock = tmp_path / "state", FakeClock()
        place = KeyringPlace("id", directory, ask, largest=300)
        return RecordStore(directory, place, clock, summary=directory / "summary.json")


def _operate(items: dict[str, str], action: str, name: str, value: str = "") -> str | None:
    if action == "set":
        items[name] = value
    if action == "delete":
        items.pop(name, None)
    return items.get(name) if action == "get" else None
