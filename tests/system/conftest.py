"""A server with its first administrator, and a machine that is signed in to it; started once for the module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Installation, Machine, RunningServer


@pytest.fixture(scope="session", autouse=True)
def _schema(migrated: Path) -> Iterator[None]:
    """Have no server but the README's and the first of ``test_first_mile.py`` migrate from nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunningServer, "migrated", migrated)
        yield


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The server, its administrator, one issued key, and one machine that is signed in."""
    home: Path = tmp_path_factory.mktemp("installation")
    with RunningServer(home) as server:
        person = server.administrator()
        machine = Machine(tmp_path_factory.mktemp("machine"))
        machine.sign_in(server.base, person)
        yield Installation(server, person, machine, person.create_key("system tests"))
