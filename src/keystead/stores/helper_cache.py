"""The last output of ``apiKeyHelper``, shared by all processes: 0600, with the time it was printed.

One file per command, project directory and profile, because a command may answer differently for another.
"""

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.secret import Secret
from keystead.stores import DEFAULT_PROFILE
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked

SCHEMA: Final = "keystead.helper/1"


@dataclass(frozen=True, slots=True)
class HelperKey:
    """One output.

    Attributes:
        printed_at: Unix seconds.
    """

    secret: Secret
    printed_at: float

    def usable(self, now: float, lifetime: float) -> bool:
        """Whether it may be used again; a clock that went back ends it."""
        return 0 <= now - self.printed_at < lifetime


class HelperCache:
    """Keeps the output of one command run in one directory for one profile."""

    def __init__(
        self,
        directory: Path,
        command: str,
        cwd: Path,
        clock: Clock,
        files: Files | None = None,
        *,
        profile: str = DEFAULT_PROFILE,
    ) -> None:
        asked = f"{cwd}\0{command}" + ("" if profile == DEFAULT_PROFILE else f"\0{profile}")
        name = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._path = directory / f"helper-{name}.json"
        self._lock = directory / f"helper-{name}.lock"
        self._clock = clock
        self._files = files or Files()

    def load(self) -> HelperKey | None:
        """Return the kept output; a file that is not one counts as none.

        Raises:
            UnreadableFile: others may read it.
        """
        data = read_private(self._path)
        if data is None:
            return None
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA or not isinstance(document["key"], str):
                return None
            return HelperKey(Secret(document["key"]), float(document["printed_at"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def save(self, secret: Secret) -> None:
        """Keep ``secret``, printed now, durably.

        Raises:
            StoreUnavailable: it could not be written.
        """
        document = {"schema": SCHEMA, "key": secret.reveal(), "printed_at": self._clock.now()}
        self._files.sweep(self._path)
        self._files.put(self._path, json.dumps(document).encode() + b"\n")

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to run the command, across all processes."""
        return locked(self._lock, timeout, self._clock)
