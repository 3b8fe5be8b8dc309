"""Whether the cloud in use accepts this machine, asked through its own SDK (R-33), and only with --network."""

from collections.abc import Iterator

from keystead.cli.doctor.finding import Finding, Ground, Weight
from keystead.credentials import CloudCredential
from keystead.errors import CloudNotReady, KeysteadError


def look(ground: Ground) -> Iterator[Finding]:
    """Ask the cloud that is switched on and not outranked, if there is one."""
    winner = ground.resolution.winner
    if winner is None or not isinstance(winner.credential, CloudCredential):
        return
    place = str(winner.provenance)
    if ground.transport is None:
        yield Finding(Weight.NOTE, f"{winner.title} was not asked; --network asks it through its own SDK", place)
        return
    try:
        found = ground.surroundings.client().cloud(fresh=True)
    except KeysteadError as error:
        weight = Weight.PROBLEM if isinstance(error, CloudNotReady) else Weight.WARNING
        yield Finding(weight, error.message, place, error.hint)
        return
    assert found is not None
    state = "accepts" if found.proven else "was not asked about"
    yield Finding(Weight.NOTE, f"{winner.title} {state} {found.principal or 'the credential'} ({found.source})", place)
    for note in found.notes:
        yield Finding(Weight.WARNING, note, place)
