"""``keystead revoke``: end a sign-in on its server first; only when that has worked, here too (R-16)."""

import json
from typing import Final

import click

from keystead.cli.logout import LOCK_PATIENCE, Ended, Revocation, revoked, say
from keystead.cli.surroundings import Surroundings
from keystead.credentials import LoginKind
from keystead.errors import NoCredential, TemporaryFailure

SCHEMA: Final = "keystead.revoke/1"


@click.command()
@click.option("--method", type=click.Choice([kind.value for kind in LoginKind]), help="Revoke only this sign-in.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_obj
def revoke(surroundings: Surroundings, *, method: str | None, wants_json: bool) -> None:
    """Revoke the sign-in on its server, and delete it here once that has worked.

    Unlike logout, it keeps everything here when the server cannot be reached or refuses, so that it can be tried again.
    Exit code: 0 revoked, 4 nobody is signed in, 75 not revoked and kept.
    """
    kinds = [LoginKind(method)] if method else list(LoginKind)
    done = [one for kind in kinds for one in _revoke(surroundings, kind)]
    if not done:
        raise NoCredential("Nobody is signed in here.", hint="keystead status shows where credentials come from.")
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "revoked": [one.to_json() for one in done]}, indent=2))
    else:
        say(surroundings, *(one.text for one in done))


def _revoke(surroundings: Surroundings, kind: LoginKind) -> list[Ended]:
    """Revoke one sign-in, and those before it that could be gone back to; there may be none.

    Raises:
        TemporaryFailure: the server did not revoke it; it is kept as it was.
    """
    store = surroundings.store
    if store.load(kind) is None:
        return []
    with store.lock(kind, LOCK_PATIENCE):
        login = store.load(kind)
        if login is None:
            return []
        ended = [revoked(surroundings, one, local=False) for one in (login, *login.earlier)]
        kept = next((one for one in ended if one.revocation is not Revocation.REVOKED), None)
        if kept is not None:
            raise TemporaryFailure(
                f"The sign-in to {kept.login.issuer} is kept. {kept.outcome}",
                hint="Try again later, or delete it here all the same with keystead logout.",
            )
        store.delete(kind)
        return ended
