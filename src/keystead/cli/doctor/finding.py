"""What a check looks at and what it says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from keystead.cli.surroundings import Surroundings
from keystead.environment import Environment
from keystead.resolver import Resolution
from keystead.sources.configuration import Configuration

if TYPE_CHECKING:
    from keystead.drivers.transport import Transport


class Weight(StrEnum):
    """How much a finding matters: only a problem changes the exit code."""

    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Repair:
    """A safe change that ``--fix`` makes and ``doctor undo`` takes back.

    Attributes:
        path: what is changed; only its mode or its place, never its content.
        mode: the mode to give it; None moves it aside into the state directory.
    """

    path: Path
    mode: int | None = None

    @property
    def sentence(self) -> str:
        return f"move {self.path} aside" if self.mode is None else f"chmod {self.mode:o} {self.path}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check found; it never contains a secret.

    Attributes:
        message: what is the matter, a clause or sentence.
        place: file and line, or a variable.
        fix: what to do, one line.
        fingerprint: stands for a leaked secret, so that the same one can be recognised elsewhere.
        repair: what ``--fix`` does about it.
    """

    weight: Weight
    message: str
    place: str | None = None
    fix: str | None = None
    fingerprint: str | None = None
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """All that a check may look at.

    Attributes:
        resolution: the decision as ``status`` shows it.
        transport: makes the transport for probes; None keeps everything on this machine.
        root: the file system's root; tests put a directory here.
        salt: for fingerprints.
    """

    surroundings: Surroundings
    configuration: Configuration
    resolution: Resolution
    transport: "Callable[[], Transport] | None" = None
    root: Path = Path("/")
    salt: bytes = field(default=b"", repr=False)

    @property
    def environment(self) -> Environment:
        return self.surroundings.environment


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the doctor's table.

    Attributes:
        id: stable name, used in JSON and by ``--only``.
        fine: what is said when nothing was found.
        look: yields findings; reads, and changes nothing.
    """

    id: str
    title: str
    fine: str
    look: Callable[[Ground], Iterable[Finding]]


def read_text(path: Path, most: int = 1_000_000) -> str | None:
    """Return the text of a regular file no larger than ``most`` bytes; None when there is none or it is not text."""
    try:
        if not path.is_file() or path.stat().st_size > most:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    return None if b"\0" in data else data.decode("utf-8", "replace")
