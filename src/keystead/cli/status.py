"""``keystead status``: which credential is used here, who pays, and why no other. It changes and sends nothing."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from keystead.cli.exits import sentence, visible
from keystead.cli.paper import Paper, moment, relative
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Account, ApiKey, BillingClass, Freshness
from keystead.credentials.provenance import ProvenanceKind
from keystead.errors import KeysteadError
from keystead.resolver import Resolution
from keystead.sources.candidate import Candidate, CandidateState
from keystead.stores import profiles
from keystead.stores.approvals import Approvals
from keystead.stores.profiles import SelectedBy, Selection

if TYPE_CHECKING:
    from keystead.cli.verification import Verification

SCHEMA = "keystead.status/1"

_STATE_STYLES: dict[CandidateState, dict[str, bool | str]] = {
    CandidateState.SELECTED: {"fg": "green", "bold": True},
    CandidateState.OUTRANKED: {"fg": "cyan"},
    CandidateState.ABSENT: {"dim": True},
    CandidateState.DECLINED: {"fg": "yellow"},
    CandidateState.IGNORED: {"fg": "yellow"},
    CandidateState.REFUSED: {"fg": "yellow"},
    CandidateState.BROKEN: {"fg": "red", "bold": True},
}

_BILLING_WORDS = {
    BillingClass.SUBSCRIPTION: "subscription (a flat fee)",
    BillingClass.METERED: "metered (every token is charged)",
    BillingClass.CLOUD: "cloud (on the cloud provider's bill)",
    BillingClass.GATEWAY: "gateway (as the gateway's operator arranged it)",
    BillingClass.UNKNOWN: "unknown",
}


@click.command()
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.option("--verify", is_flag=True, help="Ask the server about the credential in use.")
@click.pass_context
def status(context: click.Context, *, wants_json: bool, verify: bool) -> None:
    """Say which credential is used, where it comes from, who pays, and why no other is used.

    Nothing is sent, renewed or run, unless --verify asks for it. Exit code: 0 a usable or verified credential, 4 none
    or a rejected one, 75 it could not be verified, 77 refused by a rule, 78 broken.
    """
    surroundings: Surroundings = context.obj
    resolution = _with_answer(surroundings, surroundings.client().resolve())
    answer = _verify(surroundings, resolution) if verify else None
    if verify:
        from keystead.cli import tickets

        resolution = replace(resolution, warnings=(*resolution.warnings, *tickets.in_passing(surroundings)))
    now = surroundings.clock.now()
    if wants_json:
        click.echo(json.dumps(document(resolution, now, surroundings.selection, answer), indent=2))
    else:
        paper = Paper.of(surroundings.environment)
        click.echo("\n".join(lines(resolution, now, paper, surroundings.selection, answer)), color=paper.colour)
    context.exit(_exit_code(resolution, answer))


def _with_answer(surroundings: Surroundings, resolution: Resolution) -> Resolution:
    """Add that the session does not use a key that was declined there and that everything else uses (R-21)."""
    for key in resolution.considered:
        if key.source == "api_key" and isinstance(key.credential, ApiKey) and key.approval is None:
            said = _declined(surroundings, key, key.credential)
            return replace(resolution, warnings=(*resolution.warnings, *said))
    return resolution


def _declined(surroundings: Surroundings, key: Candidate, credential: ApiKey) -> list[str]:
    approvals = Approvals(surroundings.environment.state_dir, surroundings.clock)
    try:
        answer = approvals.decision(credential.secret, next(iter(key.allowed_origins)))
    except KeysteadError as error:
        return [error.message]
    if answer is None or answer.accepted:
        return []
    return [f"{key.provenance} was declined on {answer.date} for the prompt; keystead -p, token and run use it"]


def _verify(surroundings: Surroundings, resolution: Resolution) -> "Verification | None":
    """Ask about the winner; where there is none, or another purse is expected, nobody is asked."""
    if resolution.winner is None or resolution.problem is not None:
        return None
    from keystead.cli import verification

    return verification.verify(surroundings, resolution.winner)


def _exit_code(resolution: Resolution, answer: "Verification | None") -> int:
    if resolution.problem is not None:
        return resolution.problem.exit_code
    return answer.exit_code if answer is not None else 0


def lines(
    resolution: Resolution,
    now: float,
    paper: Paper,
    selection: Selection = profiles.DEFAULT,
    answer: "Verification | None" = None,
) -> list[str]:
    """Return the report for people."""
    winner = resolution.winner
    written = _headline(resolution, paper)
    if winner is not None:
        rows = facts(answer.candidate if answer else winner, now, answer)
        surface = ("Surface", str(resolution.declaration))
        written += ["", *paper.table([*rows, ("Profile", visible(str(selection))), surface, *_expected(resolution)])]
    elif selection.by is not SelectedBy.DEFAULT:
        written += ["", *paper.table([("Profile", visible(str(selection)))])]
    for warning in (*resolution.warnings, *(answer.warnings if answer else ())):
        written += ["", *(paper.style(line, fg="yellow") for line in paper.wrap(sentence(warning), 4, first="  ! "))]
    others = [candidate for candidate in resolution.considered if candidate is not winner]
    written += ["", paper.style("Also considered, in order of precedence:" if winner else "Considered:", bold=True)]
    return written + _places(others, paper)


def _headline(resolution: Resolution, paper: Paper) -> list[str]:
    winner, problem = resolution.winner, resolution.problem
    if winner is not None and problem is None:
        return [paper.style(line, bold=True) for line in paper.wrap(f"{winner.title} is used.")]
    assert problem is not None
    refused = f"{winner.title} is refused" if winner else "No credential can be used"
    said = [paper.style(line, bold=True) for line in paper.wrap(visible(f"{refused}: {sentence(problem.message)}"))]
    return said + (paper.wrap(f"fix: {problem.hint}", 2) if problem.hint else [])


def _expected(resolution: Resolution) -> list[tuple[str, str]]:
    """Return what was declared with ``keystead expect``; whether it holds, the headline says."""
    return [("Expected", visible(f"{one} (for {one.place})")) for one in resolution.expectations]


def facts(winner: Candidate, now: float, answer: "Verification | None" = None) -> list[tuple[str, str]]:
    """Return what is known about the credential in use, a label and a text each; unknown things have no text."""
    return [
        ("Source", f"{winner.provenance}" if winner.provenance else ""),
        ("Account", _account(winner.account)),
        ("Organization", _organization(winner.account)),
        ("Who pays", sentence(winner.payer[:1].upper() + winner.payer[1:]) if winner.payer else ""),
        ("Billing", _BILLING_WORDS[winner.billing]),
        ("Expires", f"{moment(winner.expires_at)}, {relative(winner.expires_at, now)}" if winner.expires_at else ""),
        ("State", f"{answer.verdict}: {answer.reason}" if answer else _state(winner)),
        ("Limits", _limits(answer, now)),
        ("Sent to", f"{winner.api_base} in the header {winner.header}" if winner.api_base and winner.header else ""),
        ("Upstream", _upstream(winner.upstream)),
    ]


def _limits(answer: "Verification | None", now: float) -> str:
    """Return the nearest limit, and how many there are besides."""
    if answer is None or answer.limits is None:
        return ""
    if not answer.limits:
        return "none"
    from keystead.cli.limits import called, said

    nearest, *others = answer.limits
    more = f"; keystead limits shows {len(others)} more" if others else ""
    return visible(f"{called(nearest)}: {said(nearest, now)}{more}")


def _account(account: Account | None) -> str:
    if account is None:
        return "not known before it is used"
    named = f"{account.name} <{account.email}>" if account.name and account.email else account.email or account.name
    return named or account.id or "not known"


def _organization(account: Account | None) -> str:
    if account is None or not (account.organization_name or account.organization_id):
        return ""
    return account.organization_name or account.organization_id or ""


def _state(winner: Candidate) -> str:
    """Present is all that can be said without asking the server, so nothing more is said (R-06)."""
    if winner.freshness is Freshness.EXPIRED:
        return "expired; it is renewed when it is used next"
    return "present; only its server can say whether it is accepted"


def _upstream(upstream: str | None) -> str:
    if upstream == "test":
        return "test upstream: it answers, but it is not a model"
    return upstream or ""


def _places(candidates: list[Candidate], paper: Paper) -> list[str]:
    """Return one entry for each place, its reason and its provenance."""
    titles = max((len(candidate.title) for candidate in candidates), default=0)
    states = max(len(state) for state in CandidateState)
    column = 2 + titles + 2 + states + 2
    written = []
    for candidate in candidates:
        state = paper.style(candidate.state, **_STATE_STYLES[candidate.state])
        text = _reason(candidate)
        room = paper.width - column
        if paper.narrow or max(map(len, text.split())) > room:  # an address is not cut
            written += [f"  {candidate.title}: {state}", *paper.wrap(text, 4)]
            continue
        padding = " " * (states - len(candidate.state))
        wrapped = paper.wrap(text, column)
        written += [f"  {candidate.title.ljust(titles)}  {state}{padding}  {wrapped[0].lstrip()}", *wrapped[1:]]
    return written


def _reason(candidate: Candidate) -> str:
    """Return the reason, with the file and line it does not name itself; a variable it always names."""
    place = candidate.provenance
    if place is None or place.kind is ProvenanceKind.VARIABLE or str(place) in candidate.reason:
        return candidate.reason
    return f"{candidate.reason} ({place})"


def document(
    resolution: Resolution,
    now: float,
    selection: Selection = profiles.DEFAULT,
    answer: "Verification | None" = None,
) -> dict[str, Any]:
    """Return the report for programs; times are Unix seconds."""
    winner = answer.candidate if answer else resolution.winner
    return {
        "schema": SCHEMA,
        "usable": resolution.winner is not None and resolution.problem is None,
        "exit_code": _exit_code(resolution, answer),
        "profile": selection.to_json(),
        "surface": resolution.declaration.to_json(),
        "verification": answer and answer.to_json(),
        "winner": _candidate(winner, now) if winner else None,
        "considered": [_candidate(candidate, now) for candidate in resolution.considered],
        "warnings": list(resolution.warnings),
        "expectations": [one.to_json() for one in resolution.expectations],
        "error": resolution.problem.to_json() if resolution.problem else None,
    }


def _candidate(candidate: Candidate, now: float) -> dict[str, Any]:
    provenance, account = candidate.provenance, candidate.account
    return {
        "source": candidate.source,
        "title": candidate.title,
        "state": candidate.state,
        "reason": candidate.reason,
        "provenance": provenance
        and {
            "kind": provenance.kind,
            "name": provenance.name,
            "path": provenance.path,
            "line": provenance.line,
            "text": str(provenance),
        },
        "billing": candidate.billing,
        "payer": candidate.payer or None,
        "account": account
        and {
            "id": account.id,
            "email": account.email,
            "name": account.name,
            "organization": {"id": account.organization_id, "name": account.organization_name},
        },
        "expires_at": candidate.expires_at,
        "expires_in": None if candidate.expires_at is None else candidate.expires_at - now,
        "freshness": _freshness(candidate),
        "header": candidate.header,
        "api_base": candidate.api_base,
        "upstream": candidate.upstream,
        "approval": candidate.approval,
        "error": candidate.error.to_json() if candidate.error else None,
    }


def _freshness(candidate: Candidate) -> str:
    """Return ``absent``, ``present`` or ``expired``; what asking says is in ``verification``."""
    if not candidate.present:
        return "absent"
    return "expired" if candidate.freshness is Freshness.EXPIRED else "present"
