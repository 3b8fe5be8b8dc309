"""What programs started from the desktop see, against what this shell sees, by name of variable (R-22)."""

from collections.abc import Iterator

from keystead.cli.doctor.finding import Finding, Ground, Weight
from keystead.cli.doctor.places import Reach, setters
from keystead.cli.doctor.provenance import NAMES, in_settings

_GRAPHICAL = (Reach.SESSION, Reach.EDITOR)


def look(ground: Ground) -> Iterator[Finding]:
    """Compare the two; values are not compared, and none is kept."""
    here = {name for name in NAMES if ground.environment.variables.get(name)} - in_settings(ground).keys()
    graphical = {setter.name for setter in setters(NAMES, ground) if setter.place.reach in _GRAPHICAL}
    for name in sorted(here - graphical):
        yield Finding(
            Weight.NOTE,
            f"{name} is set in this shell only; editors and programs started from the desktop do not see it",
            name,
            "A sign-in with keystead login, or apiKeyHelper in ~/.claude/settings.json, is the same everywhere.",
        )
    for name in sorted(graphical - here):
        yield Finding(
            Weight.WARNING,
            f"{name} is set for editors or the desktop and not in this shell: they may use another credential",
            name,
            "Remove it there (see the check of variables), or set it here too.",
        )
