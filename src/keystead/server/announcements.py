"""Changes across server processes on one PostgreSQL: what one publishes, the others hear within milliseconds.

An announcement may be lost with a connection. So after every new connection, and anyhow every few seconds
(``background.REFRESH_SECONDS``), what changed is read again: the announcement makes it soon, the reading makes it
certain.
"""

import json
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import uuid4

from keystead.server.changes import Change, Changes

CHANNEL: Final = "keystead_changes"
_PAUSE: Final = 1.0
_LOG: Final = logging.getLogger("keystead.server")


def announce(origin: str, change: Change) -> None:
    """Tell every process that listens but ``origin``; what cannot be told is read within seconds."""
    from django.db import DatabaseError, connection

    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, json.dumps([origin, change.subject, change.id])])
    except DatabaseError as error:
        _LOG.warning("a change was not announced, others read it within seconds: %s", type(error).__name__)


def announced(changes: Changes) -> Callable[[], None]:
    """Have servers told what this process changes, which listens to none itself, as a command; returns what ends it."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return lambda: None
    return changes.subscribe(partial(announce, uuid4().hex))


class Announcements:
    """Carries ``changes`` to other processes and theirs here, until :meth:`close`.

    Args:
        changes: this process's.
        connect: gives a new connection of psycopg in autocommit mode.
        missed: called when announcements may have been lost.
    """

    def __init__(self, changes: Changes, connect: Callable[[], Any], missed: Callable[[], object]) -> None:
        self._changes = changes
        self._connect = connect
        self._missed = missed
        self._origin = uuid4().hex
        self._hearing = threading.local()
        self._stop = threading.Event()
        self._unsubscribe = changes.subscribe(self._announce)
        self._thread = threading.Thread(target=self._run, name="announcements", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop hearing and announcing."""
        self._unsubscribe()
        self._stop.set()
        self._thread.join()

    def _announce(self, change: Change) -> None:
        """Tell the others, after the commit and in its thread; what came from them is not told again."""
        if getattr(self._hearing, "now", False):
            return
        announce(self._origin, change)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as heard:
                    heard.execute(f"LISTEN {CHANNEL}")
                    self._missed()
                    self._listen(heard)
            except Exception as error:  # noqa: BLE001  a thread that ended would hear of nothing ever after
                _LOG.warning("announcements wait for the database: %s", type(error).__name__)
                _close_connections()
                self._stop.wait(_PAUSE)
        _close_connections()

    def _listen(self, heard: Any) -> None:
        while not self._stop.is_set():
            for notice in heard.notifies(timeout=_PAUSE):
                self._hear(notice.payload)
                if self._stop.is_set():
                    return

    def _hear(self, payload: str) -> None:
        try:
            origin, subject, subject_id = json.loads(payload)
        except ValueError:
            return
        if origin == self._origin:
            return
        self._hearing.now = True
        try:
            self._changes.publish(Change(subject, subject_id))
        except Exception as error:  # noqa: BLE001  the thread must go on; the next reading has what this one had not
            _LOG.warning("a change was not applied, it is read again within seconds: %s", type(error).__name__)
            _close_connections()
        finally:
            self._hearing.now = False


def _close_connections() -> None:
    """Give up this thread's connections of Django: what ended ours may have ended those, and they do not notice."""
    from django.db import connections

    connections.close_all()
