"""Where each credential variable comes from, and which one no file sets any more (R-28)."""

from collections.abc import Iterator
from typing import Final

from keystead.cli.doctor.ancestors import origin
from keystead.cli.doctor.finding import Finding, Ground, Weight
from keystead.cli.doctor.places import Reach, Setter, setters
from keystead.credentials.provenance import ProvenanceKind
from keystead.environment import Environment
from keystead.sources import SOURCES
from keystead.sources.configuration import COMMANDS, GUARDED

NAMES: Final = frozenset(
    name
    for name in (GUARDED - COMMANDS) | {read for source in SOURCES for read in source.reads}
    if name.isupper() and "_" in name
)
"""Every variable that decides which credential is used or where it goes."""


def look(ground: Ground) -> Iterator[Finding]:
    """Name file and line of every setting of a credential variable; then the variables that no file explains."""
    found = list(setters(NAMES, ground))
    present = {name for name in NAMES if ground.environment.variables.get(name)}
    for setter in found:
        yield _set(setter, ground.environment, in_force=setter.name in present)
    for name, place in sorted(in_settings(ground).items()):
        yield Finding(
            Weight.NOTE,
            f"{name} is set by a settings file, which counts before the shell",
            place,
            f"To get rid of it: remove {name} from the env block there",
        )
    for name in sorted(present - {setter.name for setter in found}):
        by = origin(name, ground.root)
        yield Finding(
            Weight.WARNING,
            f"{name} is set, and no file that is known to set variables does so: it may be left over from one that was "
            f"changed, or come from the program that started this one{f'; {by}' if by else ''}",
            f"{name} in the environment",
            f"Open a new terminal, or run: unset {name}",
        )


def in_settings(ground: Ground) -> dict[str, str]:
    """Return the variables that trusted settings files set, and where; none while a file cannot be read."""
    if ground.configuration.faulty is not None:
        return {}
    values = [ground.configuration.variable(name).value for name in NAMES]
    return {
        value.provenance.name: str(value.provenance)
        for value in values
        if value is not None and value.provenance.kind is ProvenanceKind.SETTINGS
    }


def _set(setter: Setter, environment: Environment, *, in_force: bool) -> Finding:
    force = "" if in_force else ", though not in this process"
    fix = setter.place.fix.format(file=setter.path, line=setter.line, name=setter.name)
    automatic = setter.place.reach is Reach.PROJECT and setter.place.title == ".env"
    return Finding(
        Weight.NOTE,
        f"{setter.name} is set for {setter.place.title}{force}" + ("; Keystead does not load it" if automatic else ""),
        setter.shown(environment),
        f"To get rid of it: {fix.removeprefix('Run: ')}",
    )
