"""Where an agent runs, and which rows of the precedence table count there (S-14).

A surface without a terminal uses the stored sign-in alone: keys in its environment are somebody else's. Bare mode
is the other end: what the environment says and nothing that was kept.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keystead.credentials.provenance import Provenance, ProvenanceKind
from keystead.environment import Environment
from keystead.errors import ConfigurationError, KeysteadError
from keystead.wire import surfaces

VARIABLE: Final = "KEYSTEAD_SURFACE"
REMOTE_VARIABLE: Final = "CLAUDE_CODE_REMOTE"
"""Set by the vendor's own remote sessions; ``true`` there."""
_ON: Final = frozenset({"1", "true", "yes", "on"})


class Surface(StrEnum):
    """Where an agent runs, or how: ``bare`` is a terminal without anything kept."""

    TERMINAL = "terminal"
    DESKTOP = "desktop"
    REMOTE = "remote"
    BARE = "bare"


EVERYWHERE: Final = frozenset(Surface)
SIGN_IN: Final = frozenset({Surface.TERMINAL, Surface.DESKTOP, Surface.REMOTE})
ENVIRONMENT: Final = frozenset({Surface.TERMINAL, Surface.BARE})
TERMINAL: Final = frozenset({Surface.TERMINAL})


@dataclass(frozen=True, slots=True)
class Declaration:
    """The surface of this process, and what declared it; ``fault`` when that names no surface."""

    surface: Surface = Surface.TERMINAL
    place: Provenance | None = None
    fault: KeysteadError | None = None

    def __str__(self) -> str:
        """Return it for people; empty for a terminal, which goes without saying."""
        return f"{self.surface} ({self.place})" if self.surface is not Surface.TERMINAL else ""

    @property
    def told(self) -> surfaces.Surface:
        """What a gateway is told of it: nothing when nothing declared it."""
        if self.place is None or self.fault is not None:
            return surfaces.Surface.UNSAID
        return surfaces.Surface.REMOTE if self.surface is Surface.REMOTE else surfaces.Surface.LOCAL

    def to_json(self) -> dict[str, str | None]:
        """Return it for programs."""
        return {"name": self.surface, "declared_by": None if self.place is None else self.place.name}


def declared(environment: Environment) -> Declaration:
    """Return the surface that the process's own variables declare; a terminal when none does.

    A project's settings cannot declare one: they could otherwise choose who pays.
    """
    named = environment.variables.get(VARIABLE, "").strip().lower()
    if named in set(Surface):
        return Declaration(Surface(named), _variable(VARIABLE))
    if named:
        known = ", ".join(Surface)
        fault = ConfigurationError(f"{VARIABLE} names no surface.", hint=f"Set it to one of {known}, or unset it.")
        return Declaration(place=_variable(VARIABLE), fault=fault)
    if environment.variables.get(REMOTE_VARIABLE, "").strip().lower() in _ON:
        return Declaration(Surface.REMOTE, _variable(REMOTE_VARIABLE))
    return Declaration()


def _variable(name: str) -> Provenance:
    return Provenance(ProvenanceKind.VARIABLE, name)
