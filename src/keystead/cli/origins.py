"""Where on this machine the variables of a decision are set: shell files, sessions, editors; never the value (R-28)."""

from collections.abc import Iterable

from keystead.cli.surroundings import Surroundings
from keystead.credentials.provenance import ProvenanceKind
from keystead.resolver import Resolution
from keystead.sources.candidate import Candidate


def setting_lines(
    surroundings: Surroundings, resolution: Resolution, candidates: Iterable[Candidate]
) -> dict[str, list[str]]:
    """Return, for each variable that a candidate came from, ``file:line`` of all that sets it."""
    places = (one.provenance for one in candidates)
    names = {place.name for place in places if place is not None and place.kind is ProvenanceKind.VARIABLE}
    if not names:
        return {}
    from keystead.cli.doctor.finding import Ground
    from keystead.cli.doctor.places import setters
    from keystead.sources.configuration import Configuration

    environment = surroundings.environment
    ground = Ground(surroundings, Configuration.read(environment), resolution)
    found: dict[str, list[str]] = {}
    for one in setters(frozenset(names), ground):
        found.setdefault(one.name, []).append(one.shown(environment))
    return found


def set_in(surroundings: Surroundings, resolution: Resolution, candidate: Candidate) -> str:
    """Return a sentence with a space after it that says where the candidate's variable is set, or nothing."""
    found = setting_lines(surroundings, resolution, [candidate])
    return "".join(f"{name} is set in {', '.join(lines)}. " for name, lines in found.items())
