"""Doing a transaction again when the database chose it to give way.

Every transaction can be retried whole: what it decided is in the database or was not done.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from django.db import OperationalError, connection

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


def gave_way(error: OperationalError) -> bool:
    """Return whether the database ended a transaction so that another could go on."""
    return getattr(error.__cause__, "sqlstate", None) in _GIVE_WAY
