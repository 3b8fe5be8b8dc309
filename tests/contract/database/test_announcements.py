"""Hearing of changes goes on after the database has ended every connection, also those of Django."""

from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from click.testing import CliRunner

from keystead.server.announcements import CHANNEL, Announcements
from keystead.server.changes import Change, Changes

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
PATIENCE = 60.0


def connect() -> Any:
    import psycopg
    from django.db import connection

    given = connection.get_connection_params()
    return psycopg.connect(
        **{name: value for name, value in given.items() if name not in {"cursor_factory", "context"}}, autocommit=True
    )


def ask(sql: str, *given: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, given)


@pytest.fixture
def looks(database: None) -> "SimpleQueue[None]":
    """One for each time that everything was looked at again."""
    return SimpleQueue()


@pytest.fixture
def heard(database: None, looks: "SimpleQueue[None]") -> "Iterator[SimpleQueue[Change]]":
    """The changes of other processes, whose rows have been read in the thread that heard of them."""
    found: SimpleQueue[Change] = SimpleQueue()
    changes = Changes()

    def missed() -> None:
        ask("SELECT 1")
        looks.put(None)

    def read(change: Change) -> None:
        ask("SELECT 1")
        found.put(change)

    announcements = Announcements(changes, connect, missed)
    stop = changes.subscribe(read)
    yield found
    stop()
    announcements.close()


def test_it_goes_on_after_every_connection_was_lost(looks: "SimpleQueue[None]", heard: "SimpleQueue[Change]") -> None:
    looks.get(timeout=PATIENCE)
    for number in range(2):
        ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        looks.get(timeout=PATIENCE)
        ask("SELECT pg_notify(%s, %s)", CHANNEL, f'["another", "api_key", "key_{number}"]')
        assert heard.get(timeout=PATIENCE) == Change("api_key", f"key_{number}")


@pytest.mark.usefixtures("administrator")
def test_what_a_command_changes_is_heard_by_servers(
    heard: "SimpleQueue[Change]", looks: "SimpleQueue[None]", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server import installation
    from keystead.server.command import server
    from keystead.server.limits.models import Limit
    from keystead.server.upstreams.models import Upstream

    monkeypatch.setattr(installation, "open_database", lambda *_: None)  # the test's own is open
    looks.get(timeout=PATIENCE)
    for arguments in (["limits", "set", "250"], ["upstream-add", "anthropic", "--name", "Claude"]):
        done = CliRunner().invoke(server, arguments)
        assert done.exit_code == 0, done.output
    assert heard.get(timeout=PATIENCE) == Change("limit", Limit.objects.get().wire_id)
    assert heard.get(timeout=PATIENCE) == Change("upstream", Upstream.objects.get().wire_id)
