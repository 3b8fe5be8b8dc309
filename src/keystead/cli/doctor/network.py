"""Whether the servers that count answer, over which hop, and what time they have. Sends no credential."""

from collections.abc import Iterator

from keystead.cli.doctor.finding import Finding, Ground, Weight
from keystead.cli.doctor.skew import against
from keystead.credentials import ANTHROPIC_API
from keystead.errors import KeysteadError
from keystead.wire import dates
from keystead.wire.http import Request


def look(ground: Ground) -> Iterator[Finding]:
    """Ask each address that a credential of this machine belongs to, once."""
    if ground.transport is None:
        yield Finding(Weight.NOTE, "nothing was asked; --network asks the servers, without a credential")
        return
    network = ground.transport()
    for origin in sorted(_origins(ground)):
        try:
            response = network.send(Request("GET", f"{origin}/"))
        except KeysteadError as error:
            yield Finding(Weight.PROBLEM, error.message, origin, error.hint)
            continue
        now = ground.surroundings.clock.now()
        yield Finding(Weight.NOTE, f"answers (HTTP {response.status})", origin)
        date = dates.parse(response.headers.get("date", ""))
        if date is not None:
            yield from against(origin, date - now)


def _origins(ground: Ground) -> set[str]:
    winner = ground.resolution.winner
    if winner is not None and winner.allowed_origins:
        return set(winner.allowed_origins)
    considered = ground.resolution.considered
    return {origin for candidate in considered for origin in candidate.allowed_origins} or {ANTHROPIC_API}
