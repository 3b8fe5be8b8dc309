"""What a running server does from time to time, in one thread of its own beside the requests."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keystead.clock import Clock

_LOG: Final = logging.getLogger("keystead.server")


@dataclass(frozen=True, slots=True)
class Chore:
    """One thing to do again and again.

    Attributes:
        every: seconds from the end of one time to the beginning of the next.
        do: told the time (Unix seconds); whatever it raises is logged, and it is tried again next time.
    """

    name: str
    every: float
    do: Callable[[float], object]


class Housekeeping:
    """Does its chores, each for the first time at once, until :meth:`close`.

    Args:
        chores: what to do.
        clock: the time they are told, and by which they are due.
        finished: called after each round, in the same thread; gives back what the round held, such as a connection.
    """

    def __init__(self, chores: Sequence[Chore], clock: Clock, finished: Callable[[], object] = lambda: None) -> None:
        self._chores = chores
        self._clock = clock
        self._finished = finished
        self._due = dict.fromkeys(range(len(chores)), clock.monotonic())
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hurry(self) -> None:
        """Have every chore done at once, in the thread of this; of many calls meanwhile one round comes."""
        self._hurry.set()

    def close(self) -> None:
        """Stop after the chore under way."""
        self._stop.set()
        self._hurry.set()
        if self._thread.is_alive():
            self._thread.join()

    def round(self) -> float:
        """Do what is due, or all in a hurry; returns the seconds until something is again."""
        hurried = self._hurry.is_set()
        self._hurry.clear()
        for number, chore in enumerate(self._chores):
            if not (hurried or self._due[number] <= self._clock.monotonic()) or self._stop.is_set():
                continue
            try:
                chore.do(self._clock.now())
            except Exception:  # noqa: BLE001  a failed chore is tried again; the others and the server go on
                _LOG.exception("%s failed; it is tried again in %g seconds.", chore.name, chore.every)
            self._due[number] = self._clock.monotonic() + chore.every
        self._finished()
        return max(0.0, min(self._due.values()) - self._clock.monotonic())

    def _run(self) -> None:
        while not self._stop.is_set():
            self._hurry.wait(self.round())
