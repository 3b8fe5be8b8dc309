"""The API key of the environment: asked about once, and the toggle that changes the answer (S-05, R-21)."""

from keystead.client import Client
from keystead.session.desk import Desk
from keystead.session.reader import Reader
from keystead.sources.candidate import Approval, Candidate, CandidateState

TOGGLE = "use-custom-api-key"
_BEFORE = {CandidateState.SELECTED, CandidateState.OUTRANKED, CandidateState.BROKEN}


def offer(desk: Desk, reader: Reader) -> None:
    """Ask about a key that would be used and was not asked about before; leaving the question answers nothing."""
    client = desk.client()
    key = _undecided(client)
    if key is None:
        return
    desk.say("There is an API key that nobody was asked about yet:")
    desk.table(
        [
            ("Source", str(key.provenance)),
            ("Fingerprint", client.fingerprint(key)),
            ("Sent to", ", ".join(sorted(key.allowed_origins))),
            ("Who pays", key.payer),
        ]
    )
    try:
        accepted = reader.yes("Use this key?")
    except (KeyboardInterrupt, EOFError):
        desk.say("")  # off the line of the question
        desk.say("Nothing was decided; the key is not used now.")
        return
    client.decide(key, accepted=accepted)
    desk.say(f"{'It is used' if accepted else 'It is not used'}, and this is remembered. /config changes it.")


def _undecided(client: Client) -> Candidate | None:
    """Return the key to ask about; none while another credential comes before it anyway."""
    for candidate in client.resolve().considered:
        if candidate.approval is Approval.PENDING:
            return candidate
        if candidate.state in _BEFORE:
            return None
    return None


def describe(client: Client) -> str:
    """Return the state of the toggle as a clause."""
    key = client.environment_key()
    if key is None:
        return "no API key is in the environment"
    said = "yes" if key.approval is Approval.ACCEPTED else "no"
    return f"{said} ({key.provenance}, fingerprint {client.fingerprint(key)}: {key.reason})"


def toggle(desk: Desk, *, accepted: bool) -> None:
    """Change the answer, or give it."""
    client = desk.client()
    key = client.environment_key()
    if key is None:
        desk.say("No API key is in the environment; there is nothing to decide.")
        return
    client.decide(key, accepted=accepted)
    winner = client.resolve().winner
    said = f"{key.provenance} is {'used' if accepted else 'not used'} from now on."
    if winner is not None and winner.source != key.source:
        said = f"{said} {winner.title} is in use."
    elif accepted and winner is None:
        said = f"{key.provenance} is approved. It is not used, because something before it must be corrected: /status."
    desk.say(said)
