"""Where a value came from, in a form that a person can go to."""

from dataclasses import dataclass
from enum import StrEnum


class ProvenanceKind(StrEnum):
    """What sort of place it is."""

    VARIABLE = "variable"
    SETTINGS = "settings"
    STORE = "store"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Provenance:
    """One place.

    Attributes:
        name: the variable or setting, such as ``ANTHROPIC_API_KEY`` or ``apiKeyHelper``.
        path: the file, with ``~`` for the home directory; None for a variable of the process.
        line: counted from 1, when known.
    """

    kind: ProvenanceKind
    name: str
    path: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.path is None:
            return f"{self.name} in the environment" if self.kind is ProvenanceKind.VARIABLE else self.name
        return self.path if self.line is None else f"{self.path}:{self.line}"
