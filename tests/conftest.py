"""Fixtures for everything that needs the control plane: Django once per session, a fresh database per test.

The database is a file, not memory, so that threads and real servers see it.
"""

import functools
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from django.test import Client

    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark that ties a test to ``conformance/manifest``."""
    hypothesis.settings.register_profile("house", deadline=None)  # no test asserts a wall-clock time
    hypothesis.settings.load_profile("house")
    config.addinivalue_line("markers", "requirement(*names): the requirements of the manifest this test holds")


@pytest.fixture(scope="session")
def _cheap_passwords() -> "Iterator[dict[str, int]]":
    """Have Argon2 cost next to nothing in this process, and give what it costs a server; hundreds of tests sign in."""
    from django.contrib.auth.hashers import Argon2PasswordHasher

    cheap = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}
    with pytest.MonkeyPatch.context() as patch:
        real = {name: getattr(Argon2PasswordHasher, name) for name in cheap}
        for name, value in cheap.items():
            patch.setattr(Argon2PasswordHasher, name, value)
        yield real


@pytest.fixture
def costly_passwords(_cheap_passwords: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords for one test at the cost that servers pay."""
    from django.contrib.auth.hashers import Argon2PasswordHasher

    for name, value in _cheap_passwords.items():
        monkeypatch.setattr(Argon2PasswordHasher, name, value)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, _cheap_passwords: dict[str, int]) -> Path:
    """Configure Django and return a migrated database file to copy."""
    from keystead.server.settings import ServerSettings
    from keystead.server.site.settings import configure

    data_dir = tmp_path_factory.mktemp("server")
    configure(ServerSettings(data_dir=data_dir), secret_key="only-for-tests-" + "0" * 40)

    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    connection.close()
    return data_dir / "keystead.sqlite3"


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Iterator[Path]:
    """Point every connection, of whichever thread, at a fresh copy of the migrated database."""
    from django.core.cache import cache
    from django.db import connections

    from keystead.server.errands import ERRANDS

    path = tmp_path / "keystead.sqlite3"
    shutil.copyfile(migrated, path)
    connections.close_all()
    connections.settings["default"]["NAME"] = path
    connections["default"].settings_dict["NAME"] = path
    cache.clear()
    yield path
    assert ERRANDS.drain(), "an errand of this test would write into the next one's database"
    connections.close_all()


@functools.cache
def _hashed() -> str:
    """Hash the password once: hundreds of tests have an administrator."""
    from django.contrib.auth.hashers import make_password

    return make_password("correct horse battery")


@pytest.fixture
def administrator(database: Path) -> "Membership":
    """Return the first administrator, ``ada@example.com`` with password ``correct horse battery``."""
    from keystead.server.identity.models import Person
    from keystead.server.organizations.models import Membership, Organization, Workspace

    person = Person.objects.create(
        email="ada@example.com", password=_hashed(), name="Ada", created_at=NOW, email_verified_at=NOW
    )
    organization = Organization.objects.create(name="Example", created_at=NOW)
    Workspace.objects.create(organization=organization, name="Default", is_default=True, created_at=NOW)
    return Membership.objects.create(organization=organization, person=person, role="admin", created_at=NOW)


@pytest.fixture
def web(database: Path) -> "Client":
    """Return a browser-like client that is signed in to nothing and must send its CSRF tokens."""
    from django.test import Client

    return Client(SERVER_NAME="127.0.0.1")


@pytest.fixture
def django_queries(database: Path) -> "Callable[[], AbstractContextManager[list[dict[str, str]]]]":
    """Return what collects the SQL of a block, as this thread asks it."""
    from contextlib import contextmanager

    @contextmanager
    def collected() -> Iterator[list[dict[str, str]]]:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        asked: list[dict[str, str]] = []
        with CaptureQueriesContext(connection) as captured:
            yield asked
        asked.extend(captured.captured_queries)

    return collected
