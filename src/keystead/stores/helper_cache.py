"""The last output of ``apiKeyHelper``, shared by all processes: 0600, with the time it was printed.

One file per command, project directory and profile, because a command may answer differently for another.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials.printed import Printed
from keystead.secret import Secret
from keystead.stores import DEFAULT_PROFILE
from keystead.stores.files import Files
from keystead.stores.kept_answer import KeptAnswer, named
from keystead.wire.fields import Malformed

SCHEMA: Final = "keystead.helper/1"
MARGIN: Final = 30.0
"""Seconds before the end that an output names at which another one is asked for."""


@dataclass(frozen=True, slots=True)
class HelperKey:
    """One kept output.

    Attributes:
        printed_at: Unix seconds.
    """

    printed: Printed
    printed_at: float

    def usable(self, now: float, lifetime: float) -> bool:
        """Whether it may be used again: until the end it named itself, else for ``lifetime`` seconds.

        A clock that went back ends it.
        """
        end = self.printed.expires_at
        return now - self.printed_at >= 0 and (now - self.printed_at < lifetime if end is None else now < end - MARGIN)

    def last_good(self, now: float) -> bool:
        """Whether it is valid still although another one should be asked for; only an output with an end can be."""
        end = self.printed.expires_at
        return end is not None and self.printed_at <= now < end


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
        name = named(asked.encode("utf-8", "surrogatepass"))
        self._answer = KeptAnswer(directory, f"helper-{name}", SCHEMA, clock, files)
        self._clock = clock

    def load(self) -> HelperKey | None:
        """Return the kept output; a file that is not one counts as none.

        Raises:
            UnreadableFile: others may read it.
        """
        document = self._answer.read()
        if document is None:
            return None
        try:
            end = document.number("expires_at") if document.has("expires_at") else None
            return HelperKey(Printed(Secret(document.text("key")), end), document.number("printed_at"))
        except Malformed:
            return None

    def save(self, printed: Printed) -> None:
        """Keep what was printed now, durably.

        Raises:
            StoreUnavailable: it could not be written.
        """
        document = {"key": printed.secret.reveal(), "expires_at": printed.expires_at}
        self._answer.write({**document, "printed_at": self._clock.now()})

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to run the command, across all processes."""
        return self._answer.lock(timeout)
