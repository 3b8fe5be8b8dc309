"""Telling clients, while a server runs, that sign-ins of theirs have ended.

It has a thread of its own beside the other chores, because clients may be slow to answer.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from keystead.clock import Clock
from keystead.server.changes import CHANGES, Change
from keystead.server.housekeeping import Chore, Housekeeping

LOOK_SECONDS: Final = 15.0
"""How soon an end is noticed that nobody announced, such as the passing of time, and a further try is made when due."""
_ENDING: Final = frozenset({"grant", "member"})
"""What changes when a sign-in ends."""


@contextlib.contextmanager
def telling(clock: Clock) -> Iterator[None]:
    """Tell clients during the block: at once when a sign-in ends here, and before long when it ended otherwise."""
    from django.db import connections

    from keystead.server.authorization import logout_delivery

    def tell(now: float) -> None:
        if logout_delivery.tell(datetime.fromtimestamp(now, UTC)):
            thread.hurry()

    def hear(change: Change) -> None:
        if change.subject in _ENDING:
            thread.hurry()

    chore = Chore("telling clients of ended sign-ins", LOOK_SECONDS, tell)
    thread = Housekeeping([chore], clock, finished=connections.close_all)
    unsubscribe = CHANGES.subscribe(hear)
    thread.start()
    try:
        yield
    finally:
        unsubscribe()
        thread.close()
