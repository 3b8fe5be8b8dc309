"""What becomes of a login when another takes its place: the rules every store keeps, as functions of values."""

from dataclasses import replace
from typing import Final

from keystead.credentials import Login
from keystead.errors import NoCredential

KEPT: Final = 3
"""Earlier sign-ins that stay restorable; a renewal is not one, for its server has taken the old tokens back."""


def successor(login: Login, stored: Login | None) -> Login:
    """Return ``login`` as it is kept in place of ``stored``: a generation on, with what can be restored."""
    if stored is None:
        return replace(login, generation=login.generation + 1)
    earlier = stored.earlier if same_sign_in(login, stored) else (replace(stored, earlier=()), *stored.earlier)
    return replace(login, generation=max(login.generation, stored.generation) + 1, earlier=earlier[:KEPT])


def restored(stored: Login | None) -> Login:
    """Return what stands after one step back: a retired login in force again, else the sign-in before this one.

    Raises:
        NoCredential: there is nothing to go back to.
    """
    if stored is None:
        raise NoCredential("Nobody is signed in here, so there is nothing to restore.", hint="Run `keystead login`.")
    generation = stored.generation + 1
    if stored.retired_at is not None:
        return replace(stored, retired_at=None, generation=generation)
    if not stored.earlier:
        raise NoCredential(
            "There is no earlier sign-in to restore.", hint="Run `keystead login` to sign in as somebody else."
        )
    before, *rest = stored.earlier
    return replace(before, retired_at=None, generation=generation, earlier=(replace(stored, earlier=()), *rest))


def without(stored: Login, forgotten: Login) -> Login:
    """Return ``stored`` without ``forgotten`` among what can be restored."""
    return replace(stored, earlier=tuple(one for one in stored.earlier if one.tokens != forgotten.tokens))


def same_sign_in(one: Login, other: Login) -> bool:
    """Whether both are the same person at the same server, so that one is a renewal or a repetition of the other."""
    return (one.kind, one.issuer, one.client_id, one.account) == (
        other.kind,
        other.issuer,
        other.client_id,
        other.account,
    )
