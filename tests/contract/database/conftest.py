"""The same tests on SQLite and on PostgreSQL."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres import Cluster, cluster


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with cluster() as found:
        yield found


@pytest.fixture(scope="session")
def template(postgresql: Cluster, migrated: Path) -> str:
    """Return the name of a migrated database to copy."""
    from django.core.management import call_command
    from django.db import connections

    address = postgresql.create()
    before = _point_at(address)
    call_command("migrate", verbosity=0)
    connections.close_all()
    _restore(before)
    return address.partition("@/")[2].partition("?")[0]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[None]:
    """Point every connection, of whichever thread, at a fresh database; replaces the fixture of that name."""
    from django.core.cache import cache
    from django.db import connections

    if request.param == "sqlite":
        migrated, place = request.getfixturevalue("migrated"), request.getfixturevalue("tmp_path")
        import shutil

        shutil.copyfile(migrated, place / "keystead.sqlite3")
        before = _point_at(None, place / "keystead.sqlite3")
    else:
        server: Cluster = request.getfixturevalue("postgresql")
        before = _point_at(server.create(request.getfixturevalue("template")))
    cache.clear()
    yield
    connections.close_all()
    _restore(before)


def _point_at(address: str | None, file: Path | None = None) -> Any:
    from django.db import connections

    from keystead.secret import Secret
    from keystead.server.settings import ServerSettings
    from keystead.server.site.database import configuration
    from keystead.server.usage import ledger

    connections.close_all()
    before = connections.settings["default"]
    server = ServerSettings(data_dir=Path("unused"), database_url=None if address is None else Secret(address))
    chosen = configuration(server) | ({} if file is None else {"NAME": file})
    connections.settings["default"] = connections.configure_settings({"default": chosen})["default"]
    with contextlib.suppress(AttributeError):  # this thread has none yet
        del connections["default"]
    ledger._moment.cache_clear()  # remembers times as the database of the process has them
    return before


def _restore(before: Any) -> None:
    from django.db import connections

    from keystead.server.usage import ledger

    connections.settings["default"] = before
    with contextlib.suppress(AttributeError):  # this thread has none yet
        del connections["default"]
    ledger._moment.cache_clear()
