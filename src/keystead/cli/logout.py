"""``keystead logout``: revoke on the server, delete here, and say truthfully what is left and what takes over."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import click

from keystead.cli import tickets
from keystead.cli.exits import sentence, visible
from keystead.cli.paper import Paper, duration
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Login, LoginKind
from keystead.errors import KeysteadError, NoCredential, TemporaryFailure, UsageError
from keystead.resolver import Resolution
from keystead.sources.candidate import Candidate, CandidateState
from keystead.stores import DEFAULT_PROFILE

SCHEMA: Final = "keystead.logout/1"
LOCK_PATIENCE: Final = 60.0


class Revocation(StrEnum):
    """What became of the sign-in on its server."""

    REVOKED = "revoked"
    NOT_REVOKED = "not_revoked"
    NOT_OFFERED = "not_offered"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class Ended:
    """A sign-in that is gone here.

    Attributes:
        outcome: what became of it on its server, and how long a copy would still work, in sentences.
        queued: its server is told later, by a ticket (R-16).
    """

    profile: str
    login: Login
    revocation: Revocation
    outcome: str
    queued: bool = False

    @property
    def text(self) -> str:
        """Two lines for people."""
        who = self.login.account.email or self.login.account.id
        place = "" if self.profile == DEFAULT_PROFILE else f" (profile {self.profile})"
        return f"Signed out of {self.login.issuer}" + (f" as {who}" if who else "") + f"{place}.\n{self.outcome}"

    def to_json(self) -> dict[str, str | bool | None]:
        """Return the same for programs."""
        return {
            "profile": self.profile,
            "server": self.login.issuer,
            "method": self.login.kind,
            "account": self.login.account.id,
            "email": self.login.account.email,
            "organization": self.login.account.organization_id,
            "revocation": self.revocation,
            "queued": self.queued,
            "message": self.outcome,
        }


@click.command()
@click.option("--method", type=click.Choice([kind.value for kind in LoginKind]), help="End only this sign-in.")
@click.option("--local", is_flag=True, help="Delete here only; the server is not told.")
@click.option("--all", "everyone", is_flag=True, help="End the sign-ins of every profile.")
@click.option("--pending", "only_pending", is_flag=True, help="Only revoke what could not be revoked before.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_context
def logout(
    context: click.Context,
    *,
    method: str | None,
    local: bool,
    everyone: bool,
    only_pending: bool,
    wants_json: bool,
) -> None:
    """End the sign-in: revoked on its server, then deleted here with every earlier generation of it.

    Other profiles stay signed in unless --all is given. Where the server cannot be told, a ticket is kept that can
    only revoke, and sent later. Exit code: 0 done, 4 nobody is signed in; with --pending 75 when something is still
    not revoked.
    """
    surroundings: Surroundings = context.obj
    if only_pending:
        if method or local or everyone:
            raise UsageError("--pending stands alone.", hint="Run keystead logout --pending.")
        context.exit(_finish(surroundings, wants_json=wants_json))
    kinds = [LoginKind(method)] if method else list(LoginKind)
    names = surroundings.store.profiles() if everyone else (surroundings.store.profile,)
    ended = []
    for name in names:
        for one in end(replace(surroundings, store=surroundings.store.at(name)), kinds, local=local):
            ended.append(one)
            if not wants_json:  # at once: a later one may fail
                say(surroundings, one.text)
    if not ended:
        raise NoCredential("Nobody is signed in here.", hint="keystead status shows where credentials come from.")
    reached = {one.login.issuer for one in ended if one.revocation is Revocation.REVOKED}
    caught_up = tickets.in_passing(surroundings, reached)
    resolution = surroundings.client().resolve()
    if wants_json:
        click.echo(json.dumps({**document(ended, resolution), "caught_up": caught_up}, indent=2))
    else:
        say(surroundings, *caught_up, _takes_over(resolution))


def _finish(surroundings: Surroundings, *, wants_json: bool) -> int:
    """Send the tickets of earlier sign-outs, and nothing else; return the exit code."""
    deliveries = tickets.deliver(surroundings)
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "pending": [one.to_json() for one in deliveries]}, indent=2))
    else:
        say(surroundings, *([one.text for one in deliveries] or ["Every earlier sign-out has reached its server."]))
    return TemporaryFailure.exit_code if any(one.problem is not None for one in deliveries) else 0


def say(surroundings: Surroundings, *texts: str) -> None:
    """Print each line of the texts, wrapped where a person reads it on a terminal."""
    lines = [visible(line) for text in texts for line in text.split("\n")]
    if surroundings.environment.stdout_tty:
        paper = Paper.of(surroundings.environment)
        lines = [part for line in lines for part in paper.wrap(line)]
    click.echo("\n".join(lines))


def document(ended: Sequence[Ended], resolution: Resolution) -> dict[str, Any]:
    """Return the report for programs."""
    winner = resolution.winner
    return {
        "schema": SCHEMA,
        "ended": [one.to_json() for one in ended],
        "takes_over": _named(winner) if winner else None,
        "residual": [_named(one) for one in _residual(resolution)],
    }


def _named(candidate: Candidate) -> dict[str, str]:
    return {
        "source": candidate.source,
        "provenance": str(candidate.provenance),
        "billing": candidate.billing,
    }


def _residual(resolution: Resolution) -> list[Candidate]:
    """Return every other credential that is still here and would be used in turn (R-16)."""
    return [one for one in resolution.considered if one.state is CandidateState.OUTRANKED]


def end(surroundings: Surroundings, kinds: Iterable[LoginKind], *, local: bool) -> Iterator[Ended]:
    """End the sign-ins of these kinds in the selected profile, one after the other."""
    for kind in kinds:
        yield from _end(surroundings, kind, local=local)


def _end(surroundings: Surroundings, kind: LoginKind, *, local: bool) -> list[Ended]:
    """End one sign-in and those before it that could be gone back to.

    What happens on the network does not keep the local copies from being deleted (R-16).
    """
    store = surroundings.store
    if store.load(kind) is None:
        return []
    with store.lock(kind, LOCK_PATIENCE):  # or a renewal under way would bring the login back
        login = store.load(kind)
        if login is None:
            return []
        ended = [_queued(surroundings, revoked(surroundings, one, local=local)) for one in (login, *login.earlier)]
        store.delete(kind)
        return ended


def revoked(surroundings: Surroundings, login: Login, *, local: bool) -> Ended:
    """Tell the server that a sign-in is over, unless only the copy here shall go; say what became of it."""
    revocation, said = (
        (Revocation.NOT_ASKED, "It was not revoked, as asked.") if local else _revoke(surroundings, login)
    )
    leftover = "" if revocation is Revocation.REVOKED else f" {_leftover(surroundings, login)}"
    return Ended(surroundings.store.profile, login, revocation, said + leftover)


def _queued(surroundings: Surroundings, ended: Ended) -> Ended:
    """Return the same once what its server could not be told is noted for later."""
    noted = tickets.queue(surroundings, ended.login) if ended.revocation is Revocation.NOT_REVOKED else None
    return ended if noted is None else replace(ended, outcome=f"{ended.outcome} {noted}", queued=True)


def _revoke(surroundings: Surroundings, login: Login) -> tuple[Revocation, str]:
    from keystead.drivers import conversation
    from keystead.flows import revoke

    try:
        if conversation.run(revoke.revoke(login), surroundings.network(), surroundings.clock):
            return Revocation.REVOKED, "The server has revoked it."
        return Revocation.NOT_OFFERED, "The server offers no revocation."
    except KeysteadError as error:
        return Revocation.NOT_REVOKED, f"It was NOT revoked: {sentence(error.message)}"


def _leftover(surroundings: Surroundings, login: Login) -> str:
    """Say how long a copy of the tokens would still work."""
    remaining = login.tokens.expires_at - surroundings.clock.now()
    access = f"A copy of its access token works for {duration(remaining)} more" if remaining > 0 else ""
    renewal = "a copy of its refresh token until the server ends the session" if login.tokens.refresh_token else ""
    parts = [part for part in (access, renewal) if part]
    return sentence(" and ".join(parts)[:1].upper() + " and ".join(parts)[1:]) if parts else "It has expired anyway."


def _takes_over(resolution: Resolution) -> str:
    winner = resolution.winner
    if winner is None:
        return "No other credential takes over on this machine."
    pays = f", paid by {winner.payer}" if winner.payer else ""
    others = ", then ".join(f"{one.title} ({one.provenance})" for one in _residual(resolution))
    then = f" After it would come {others}." if others else ""
    return f"From now on {winner.title} is used ({winner.provenance}){pays}.{then}"
