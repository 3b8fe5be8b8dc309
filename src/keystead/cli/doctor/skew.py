"""Whether this machine's clock can be right (R-26)."""

from collections.abc import Iterator
from typing import Final

from keystead.cli.doctor.finding import Finding, Ground, Weight
from keystead.cli.paper import duration, moment
from keystead.credentials import OAuthTokens

EARLIEST: Final = 1_795_000_000.0 - 30 * 86400
"""Unix seconds; this version did not exist earlier."""
TOLERATED: Final = 60.0
_FIX: Final = "Let the system set its clock, for example: sudo timedatectl set-ntp true"


def look(ground: Ground) -> Iterator[Finding]:
    """Compare with what is known without asking anybody: this version's age, and the last sign-in."""
    now = ground.surroundings.clock.now()
    if now < EARLIEST:
        yield Finding(Weight.PROBLEM, f"the clock says {moment(now)}, before this version existed", fix=_FIX)
    for candidate in ground.resolution.considered:
        tokens = candidate.credential
        if not isinstance(tokens, OAuthTokens):
            continue
        if tokens.issued_at > now + TOLERATED:
            yield Finding(
                Weight.PROBLEM,
                f"{candidate.title} was issued {duration(tokens.issued_at - now)} in the future: the clock went back",
                str(candidate.provenance),
                _FIX,
            )
        if abs(tokens.clock_skew) > TOLERATED:
            yield from against(f"the server of {candidate.title}", tokens.clock_skew)


def against(who: str, ahead: float) -> Iterator[Finding]:
    """Say how far this clock is from another that is ``ahead`` by so many seconds."""
    if abs(ahead) > TOLERATED:
        side = "behind" if ahead > 0 else "ahead of"
        weight = Weight.PROBLEM if abs(ahead) > 5 * TOLERATED else Weight.WARNING
        yield Finding(weight, f"this clock is {duration(ahead)} {side} {who}", fix=_FIX)
