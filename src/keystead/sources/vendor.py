"""Another product's subscription login: recognised by its place, never opened, never used (the legal wall)."""

from dataclasses import replace
from typing import Final

from keystead.credentials.provenance import Provenance, ProvenanceKind
from keystead.sources.candidate import Candidate, CandidateState, Facts, Source

VARIABLE: Final = "CLAUDE_CODE_OAUTH_TOKEN"
FILE: Final = ".credentials.json"


def find_token(source: Source, facts: Facts) -> Candidate:
    """Look whether the variable is set; its value is not looked at."""
    reading = facts.configuration.variable(VARIABLE)
    place = reading.value.provenance if reading.value else next(iter(reading.ignored), None)
    if place is None:
        return source.absent(f"{VARIABLE} is not set")
    from keystead.credentials.rules import VENDOR_SUBSCRIPTION, refusal

    error = refusal(VENDOR_SUBSCRIPTION, VARIABLE)
    return replace(
        source.found(error.message.rstrip("."), place), state=CandidateState.REFUSED, error=error, header=None
    )


def find_login(source: Source, facts: Facts) -> Candidate:
    """Look whether the file exists. It says that a login is there, not whether it works."""
    path = facts.environment.agent_dir / FILE
    shown = facts.environment.display(path)
    try:
        exists = path.exists()
    except OSError:  # a directory that may not be entered
        exists = False
    if not exists:
        return source.absent(f"there is no {shown}")
    from keystead.credentials.rules import VENDOR_SUBSCRIPTION

    reason = (
        f"{shown} exists and was not opened: {VENDOR_SUBSCRIPTION.denied} "
        f"(rule {VENDOR_SUBSCRIPTION.id}, {VENDOR_SUBSCRIPTION.url}, as of {VENDOR_SUBSCRIPTION.dated})"
    )
    place = Provenance(ProvenanceKind.FILE, FILE, shown)
    return replace(source.found(reason, place), state=CandidateState.REFUSED, header=None)
