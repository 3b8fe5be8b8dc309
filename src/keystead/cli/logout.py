"""``keystead logout``: revoke on the server, delete here, and say truthfully what is left and what takes over."""

from collections.abc import Iterable
from typing import Final

import click

from keystead.cli.exits import sentence
from keystead.cli.paper import duration
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Login, LoginKind
from keystead.errors import KeysteadError, NoCredential
from keystead.resolver import Resolution

_LOCK_PATIENCE: Final = 60.0


@click.command()
@click.option("--method", type=click.Choice([kind.value for kind in LoginKind]), help="End only this sign-in.")
@click.option("--local", is_flag=True, help="Delete here only; the server is not told.")
@click.option("--all", "everyone", is_flag=True, help="End the sign-ins of every profile.")
@click.pass_obj
def logout(surroundings: Surroundings, method: str | None, local: bool, everyone: bool) -> None:
    """End the sign-in: revoked on its server, then deleted here with every earlier generation of it.

    Other profiles stay signed in unless --all is given.
    """
    kinds = [LoginKind(method)] if method else list(LoginKind)
    if everyone:
        names = surroundings.store.profiles()
        ended = [login for name in names for login in end(surroundings.for_profile(name), kinds, local=local)]
    else:
        ended = end(surroundings, kinds, local=local)
    if not ended:
        raise NoCredential("Nobody is signed in here.", hint="keystead status shows where credentials come from.")
    for line in _takes_over(surroundings.client().resolve()):
        click.echo(line)


def end(surroundings: Surroundings, kinds: Iterable[LoginKind], *, local: bool) -> list[Login]:
    """End the sign-ins of these kinds in the selected profile, say how each went, and return them."""
    return [login for kind in kinds if (login := _end(surroundings, kind, local=local)) is not None]


def _end(surroundings: Surroundings, kind: LoginKind, *, local: bool) -> Login | None:
    """End one sign-in; what happens on the network does not keep the local copy from being deleted (R-16)."""
    if surroundings.store.load(kind) is None:
        return None
    with surroundings.store.lock(kind, _LOCK_PATIENCE):  # or a renewal under way would bring the login back
        login = surroundings.store.load(kind)
        return _end_locked(surroundings, login, local=local) if login is not None else None


def _end_locked(surroundings: Surroundings, login: Login, *, local: bool) -> Login:
    outcome = (
        f"It was not revoked, as asked. {_leftover(surroundings, login)}" if local else _revoke(surroundings, login)
    )
    surroundings.store.delete(login.kind)
    who = login.account.email or login.account.id
    click.echo(f"Signed out of {login.issuer}" + (f" as {who}." if who else "."))
    click.echo(outcome)
    return login


def _revoke(surroundings: Surroundings, login: Login) -> str:
    from keystead.drivers import conversation
    from keystead.flows import revoke

    try:
        if conversation.run(revoke.revoke(login), surroundings.network(), surroundings.clock):
            return "The server has revoked it."
        return f"The server offers no revocation. {_leftover(surroundings, login)}"
    except KeysteadError as error:
        return f"It was NOT revoked: {sentence(error.message)} {_leftover(surroundings, login)}"


def _leftover(surroundings: Surroundings, login: Login) -> str:
    """Say how long a copy of the tokens would still work."""
    remaining = login.tokens.expires_at - surroundings.clock.now()
    access = f"A copy of its access token works for {duration(remaining)} more" if remaining > 0 else ""
    renewal = "a copy of its refresh token until the server ends the session" if login.tokens.refresh_token else ""
    parts = [part for part in (access, renewal) if part]
    return sentence(" and ".join(parts)[:1].upper() + " and ".join(parts)[1:]) if parts else "It has expired anyway."


def _takes_over(resolution: Resolution) -> list[str]:
    winner = resolution.winner
    if winner is None:
        return ["No other credential takes over on this machine."]
    pays = f", paid by {winner.payer}" if winner.payer else ""
    return [f"From now on {winner.title} is used ({winner.provenance}){pays}."]
