"""When a token endpoint may be asked again, shared by every process of the machine (R-20).

A server that asks everyone to wait is asked by nobody until then, in no process of this machine. ``backoff.json``
holds, for each endpoint, how often it failed in a row and the time before which it is left alone.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from keystead.clock import Clock
from keystead.errors import KeysteadError, RateLimited, ServerFailure, StoreBusy, StoreUnavailable, UnreadableFile
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked

SCHEMA: Final = "keystead.backoff/1"
LONGEST: Final = 86400.0
"""Seconds a server is believed when it asks to wait; after a day one try is made whatever it said."""
_WRITE_TIMEOUT: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Rule:
    """How long to wait when the server does not say.

    Attributes:
        first: seconds after the first failure; they double with each further one.
        most: seconds at most.
    """

    first: float
    most: float


_RULES: Final[dict[type[KeysteadError], _Rule]] = {
    RateLimited: _Rule(30.0, 900.0),
    ServerFailure: _Rule(1.0, 60.0),
}
"""Errors that make everybody wait. One that never reached the server, such as a missing network, is not among them."""
_FORCED: Final = _Rule(30.0, 900.0)
"""For renewals after a 401 (R-09)."""


@dataclass(frozen=True, slots=True)
class Pause:
    """One endpoint to be left alone.

    Attributes:
        until: Unix seconds before which it is not asked.
        failures: in a row.
        noted_at: Unix seconds at which it was written; a clock set back before it ends the pause.
    """

    until: float
    failures: int
    noted_at: float

    def remaining(self, now: float) -> float:
        """Return the seconds still to wait, 0 when it is over."""
        return max(0.0, self.until - now) if now >= self.noted_at - 1 else 0.0


class Backoff:
    """The pauses in ``backoff.json`` of the state directory. Where nothing can be written nothing is shared.

    Args:
        chance: 0 to 1, so that those who wait do not all come back at the same moment.
    """

    def __init__(
        self, directory: Path, clock: Clock, files: Files | None = None, chance: Callable[[], float] | None = None
    ) -> None:
        self._path = directory / "backoff.json"
        self._lock = directory / "backoff.lock"
        self._clock = clock
        self._files = files or Files()
        self._chance = chance or self._random

    def pause(self, endpoint: str) -> Pause | None:
        """Return the pause that ``endpoint`` is in now, or None when it may be asked. Writes nothing."""
        found = self._read().get(endpoint)
        return found if found is not None and found.remaining(self._clock.now()) > 0 else None

    def failed(self, endpoint: str, error: KeysteadError) -> Pause | None:
        """Note that ``endpoint`` answered with ``error``; return the pause that follows, if one does."""
        rule = next((rule for kind, rule in _RULES.items() if isinstance(error, kind)), None)
        if rule is None:
            return None
        asked = getattr(error, "retry_after", None)
        return self._change(endpoint, lambda found: self._after(found, rule, asked))

    def renewed_in_vain(self, name: str) -> None:
        """Note that ``name`` was renewed because of a 401: if that did not help, another renewal will not either."""
        self._change(name, lambda found: self._after(found, _FORCED, None))

    def succeeded(self, endpoint: str) -> None:
        """Forget the failures of ``endpoint``."""
        if endpoint in self._read():
            self._change(endpoint, lambda _: None)

    def _after(self, found: Pause | None, rule: _Rule, asked: float | None) -> Pause:
        now = self._clock.now()
        recent = found is not None and found.until > now - rule.most
        failures = (found.failures if found and recent else 0) + 1
        if asked is not None:  # never earlier than told, and not all at once after it
            wait = min(asked, LONGEST) + self._chance() * min(asked / 10, 10.0)
        else:
            wait = min(rule.first * 2 ** min(failures - 1, 20), rule.most) * (0.5 + self._chance() / 2)
        return Pause(now + wait, failures, now)

    def _change(self, endpoint: str, change: Callable[[Pause | None], Pause | None]) -> Pause | None:
        changed: Pause | None = None
        try:
            with locked(self._lock, _WRITE_TIMEOUT, self._clock):
                pauses = self._read()
                changed = change(pauses.pop(endpoint, None))
                now = self._clock.now()
                kept = {key: pause for key, pause in pauses.items() if pause.until > now - LONGEST}
                self._write({**kept, endpoint: changed} if changed else kept)
        except (StoreUnavailable, StoreBusy, UnreadableFile):
            return changed
        return changed

    def _read(self) -> dict[str, Pause]:
        """Return the pauses; a file that cannot be read holds none, for it keeps no secret and decides nothing."""
        try:
            data = read_private(self._path)
        except UnreadableFile:
            return {}
        if data is None:
            return {}
        import json

        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                return {}
            return {str(key): _pause(raw) for key, raw in document["endpoints"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def _write(self, pauses: dict[str, Pause]) -> None:
        import json

        document = {"schema": SCHEMA, "endpoints": {key: asdict(pause) for key, pause in pauses.items()}}
        self._files.sweep(self._path)
        self._files.put(self._path, json.dumps(document).encode() + b"\n")

    def _random(self) -> float:
        return int.from_bytes(self._files.random_bytes(4)) / 2**32


def _pause(raw: dict[str, Any]) -> Pause:
    return Pause(float(raw["until"]), int(raw["failures"]), float(raw["noted_at"]))
