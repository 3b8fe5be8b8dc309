"""Sign-ins to several organizations with one e-mail address: the asked-for one or none, and side by side (R-15)."""

import re
import unicodedata
from typing import Final

from keystead.cli.surroundings import Surroundings
from keystead.credentials import Login
from keystead.errors import ExpectationFailed
from keystead.stores import TokenStore
from keystead.stores.profiles import SelectedBy

_LONGEST: Final = 40


def require(login: Login, wanted: str) -> None:
    """Refuse a sign-in to another organization than the one asked for; the caller gives the grant back.

    Args:
        login: as its server names it.
        wanted: an id, or a name in any case.

    Raises:
        ExpectationFailed: it is another organization, or the server named none.
    """
    account = login.account
    if wanted == account.organization_id or wanted.casefold() == (account.organization_name or "").casefold():
        return
    actual = account.organization_name or account.organization_id
    raise ExpectationFailed(
        f"{login.issuer} signed you in to {actual}, not to {wanted}."
        if actual
        else f"{login.issuer} does not say which organization the sign-in is for, so it is not known to be {wanted}.",
        hint=f"Choose {wanted} on the server's page when you sign in again; nothing was kept of this sign-in.",
    )


def home(surroundings: Surroundings, login: Login) -> TokenStore:
    """Return the store to keep ``login`` in, so that it takes no other organization's place.

    A profile that was named is that profile. Else it is the one that has this organization already, else the
    selected one if it is free, else a new one named after the organization.
    """
    selected = surroundings.store
    if surroundings.selection.by in (SelectedBy.FLAG, SelectedBy.VARIABLE) or _fits(selected, login):
        return selected
    names = selected.profiles()
    same = next((name for name in names if _holds(selected.at(name), login)), None)
    return selected.at(same if same is not None else _free_name(login, names))


def displaced(new: Login, old: Login | None) -> str | None:
    """Return a sentence when ``new`` took the place of a sign-in to another organization or as somebody else."""
    if old is None or (_organization(old), old.account.id) == (_organization(new), new.account.id):
        return None
    who = old.account.email or old.account.id or "somebody else"
    organization = old.account.organization_name or old.account.organization_id or old.issuer
    return (
        f"It took the place of the sign-in as {who} to {organization}; "
        "to keep several side by side, sign in with --profile NAME"
    )


def beside(profile: str) -> str:
    """Return the sentence for a sign-in that :func:`home` put into another profile than the one in use."""
    return (
        f"It is kept as profile {profile} beside the sign-in to another organization, and not used here yet. "
        f'Use it in this shell with eval "$(keystead accounts use {profile})", '
        f"or in this directory with keystead accounts bind {profile}"
    )


def _fits(store: TokenStore, login: Login) -> bool:
    return store.peek(login.kind) is None or _holds(store, login)


def _holds(store: TokenStore, login: Login) -> bool:
    """Whether the sign-in there is one to the same organization of the same server."""
    held = store.peek(login.kind)
    return held is not None and _organization(held) == _organization(login)


def _organization(login: Login) -> tuple[str, str | None]:
    return login.issuer, login.account.organization_id


def _free_name(login: Login, taken: tuple[str, ...]) -> str:
    """Return a profile's name made of the organization's name: letters and digits of ASCII, and hyphens."""
    text = login.account.organization_name or login.account.organization_id or "organization"
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST] or "organization"
    names = (stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)
