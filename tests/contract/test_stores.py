"""Every store keeps the one contract."""

from pathlib import Path

import pytest

from keystead.stores import TokenStore
from keystead.stores.file import FileStore
from keystead.stores.memory import MemoryStore
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
