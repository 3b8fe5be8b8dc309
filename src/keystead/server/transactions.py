"""Doing a transaction again when the database chose it to give way.

Every transaction can be retried whole: what it decided is in the database or was not done.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction

T = TypeVar("T")
_TURN: Final = threading.Lock()

ATTEMPTS: Final = 5
_GIVE_WAY: Final = frozenset({"40001", "40P01"})
"""PostgreSQL's serialization failure and deadlock: the same may succeed at once."""


def whole(work: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """Return what ``work`` returns, which is one transaction and its beginning and end; do it again when it gave way.

    Raises:
        OperationalError: it gave way every time, or the database is in trouble of another kind.
    """
    for _ in range(attempts - 1):
        try:
            return work()
        except OperationalError as error:
            if connection.in_atomic_block or not gave_way(error):
                raise
    return work()


@contextmanager
def turn() -> Iterator[None]:
    """Enclose a transaction that many threads begin at once, so that on SQLite they take turns.

    SQLite lets one writer in and has the others sleep and look again, up to a tenth of a second at a time; a lock of
    this process wakes the next one when the one before has finished. Other databases lock rows themselves.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with _TURN:
        yield


@contextmanager
def undone_alone() -> Iterator[None]:
    """Enclose what is written whole or not at all: a transaction, or inside another one on SQLite a part of it.

    The part is what :func:`django.db.transaction.atomic` would make of it, at a tenth of the cost: a savepoint, which
    takes what was to be done on commit with it when it is undone.
    """
    here: Any = connections[DEFAULT_DB_ALIAS]
    if here.vendor != "sqlite" or not here.in_atomic_block or here.needs_rollback:
        with turn(), transaction.atomic():
            yield
        return
    run, waiting = here.connection.execute, len(here.run_on_commit)
    run("SAVEPOINT part")
    try:
        yield
    except BaseException:
        here.needs_rollback = True
        raise
    finally:
        if here.needs_rollback:
            run("ROLLBACK TO part")
            del here.run_on_commit[waiting:]
            here.needs_rollback = False
        run("RELEASE part")


def gave_way(error: OperationalError) -> bool:
    """Return whether the database ended a transaction so that another could go on."""
    return getattr(error.__cause__, "sqlstate", None) in _GIVE_WAY
