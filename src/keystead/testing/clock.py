"""A clock that moves only when told to."""


class FakeClock:
    """Time as an argument: ``sleep`` returns at once and moves both readings forward.

    Args:
        now: Unix seconds at the start.
    """

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._now += seconds
        self._monotonic += seconds
