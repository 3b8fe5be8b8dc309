"""The credential for a command that uses one: of the expected purse, and with a word when another is passed over."""

from keystead.cli.surroundings import Surroundings
from keystead.client import Client
from keystead.errors import ExpectationFailed
from keystead.release import Authorized
from keystead.resolver import Resolution, shadow_warning
from keystead.sources.candidate import Candidate


def open_purse(surroundings: Surroundings, client: Client | None = None) -> Authorized:
    """Return the credential in use, after :func:`checked`.

    Raises:
        KeysteadError: as :func:`checked` and :meth:`Client.credential`.
    """
    client = client or surroundings.client()
    return client.credential(checked(surroundings, client))


def checked(surroundings: Surroundings, client: Client) -> Resolution:
    """Return the decision, after what has to be said before anything is sent or run.

    Raises:
        ExpectationFailed: it is not of the declared purse; the message has the file and line that set it.
    """
    resolution = client.resolve()
    if isinstance(resolution.problem, ExpectationFailed) and resolution.winner is not None:
        raise located(surroundings, resolution, resolution.winner)
    if resolution.shadows and resolution.winner is not None and resolution.problem is None:
        _tell_once(surroundings, resolution.winner, resolution.shadows)
    return resolution


def located(surroundings: Surroundings, resolution: Resolution, winner: Candidate) -> ExpectationFailed:
    """Return the refusal with the lines of shell files, sessions and editors that set the variable at fault (R-28)."""
    error = resolution.problem
    assert isinstance(error, ExpectationFailed)
    from keystead.cli.origins import set_in

    where = set_in(surroundings, resolution, winner)
    return ExpectationFailed(f"{error.message} {where}".rstrip(), hint=error.hint)


def _tell_once(surroundings: Surroundings, winner: Candidate, shadows: tuple[Candidate, ...]) -> None:
    """Say on stderr which purse is passed over, once for each directory and pair; ``status`` says it always."""
    import click

    from keystead.cli.exits import sentence, visible
    from keystead.stores.notices import Notices

    notices = Notices(surroundings.environment.state_dir, surroundings.clock)
    for other in shadows:
        if notices.first(
            surroundings.environment.cwd, f"{winner.source} {winner.billing} > {other.source} {other.billing}"
        ):
            click.echo(f"keystead: {visible(sentence(shadow_warning(winner, other)))}", err=True)
            click.echo("  To make this an error: keystead expect billing=" + other.billing, err=True)
