"""What a request leaves to be done after its answer, in threads of their own.

The answer then takes the same time whatever there is to do, and does not fail with it: a page says the same, as fast,
whether an account exists and whether a mail server answers. An errand that is lost with the process was a mail that
somebody asks for again; nothing that must not be lost goes here.
"""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from typing import Final

from keystead.clock import SYSTEM_CLOCK, Clock

MOST: Final = 1000
"""Errands that may wait; more than that is somebody who means ill, or a mail server that has been silent for long."""
THREADS: Final = 2
_LOG: Final = logging.getLogger("keystead.server")

Work = Callable[[], object]


class Errands:
    """Runs what it is given, in the order of its being due.

    Args:
        clock: by which a later errand is due.
        finished: called after each, in the same thread; gives back what it held, such as a database connection.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, finished: Callable[[], object] = lambda: None) -> None:
        self._clock = clock
        self._finished = finished
        self._number = itertools.count()
        self._waiting: list[tuple[float, int, str, Work]] = []
        self._running = 0
        self._closed = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def later(self, name: str, work: Work, delay: float = 0.0) -> bool:
        """Do ``work`` in ``delay`` seconds; returns whether it was taken.

        Args:
            name: for the log, if it fails.
            work: what to do; whatever it raises is logged.
            delay: seconds.
        """
        with self._changed:
            if self._closed or len(self._waiting) >= MOST:
                _LOG.warning("%s was not done: %s errands wait already.", name, len(self._waiting))
                return False
            heapq.heappush(self._waiting, (self._clock.monotonic() + delay, next(self._number), name, work))
            if len(self._threads) < THREADS:
                self._threads.append(threading.Thread(target=self._run, name="errands", daemon=True))
                self._threads[-1].start()
            self._changed.notify_all()
        return True

    def drain(self, patience: float = 20.0) -> bool:
        """Wait until everything due has been done; returns False when ``patience`` seconds did not suffice."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running and self._seconds() != 0.0, patience)

    def close(self, patience: float = 20.0) -> None:
        """Do what is due, and take nothing more."""
        self.drain(patience)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _seconds(self) -> float | None:
        """Return how long until the next one is due; None when nothing waits."""
        return max(0.0, self._waiting[0][0] - self._clock.monotonic()) if self._waiting else None

    def _run(self) -> None:
        while (next_one := self._take()) is not None:
            name, work = next_one
            try:
                work()
            except Exception:  # noqa: BLE001  the others, and the server, go on
                _LOG.exception("%s failed.", name)
            finally:
                self._finished()
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def _take(self) -> tuple[str, Work] | None:
        with self._changed:
            while not self._closed:
                seconds = self._seconds()
                if seconds == 0.0:
                    self._running += 1
                    _, _, name, work = heapq.heappop(self._waiting)
                    return name, work
                self._changed.wait(seconds)
        return None


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()


ERRANDS: Final = Errands(finished=_close_connections)
"""This process's."""
