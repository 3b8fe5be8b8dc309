"""The only reader of time.

Everything that asks for the time takes a :class:`Clock`; tests pass ``keystead.testing.FakeClock``.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> float:
        """Return seconds since the Unix epoch (UTC), with fraction."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes backwards."""

    def sleep(self, seconds: float) -> None:
        """Block for ``seconds``."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
