"""What a token may be used for: the smallest of what was asked, what the client may ask, and what the role has."""

from typing import Final

from keystead.server.authorization.refusals import Refusal
from keystead.server.organizations.roles import Permission, Role, allows

MODELS_USE: Final = "models:use"

MEANINGS: Final = {
    "openid": "know who you are",
    "profile": "see your name",
    "email": "see your e-mail address",
    "offline_access": "stay signed in until you sign it out",
    MODELS_USE: "send requests to models in your organization's name",
}
"""Every scope there is, as a person reads it after "It may"."""

_OF_PEOPLE: Final = frozenset({"openid", "profile", "email", "offline_access"})
"""What means nothing for a service account: it has no profile, and gets no refresh token."""
_NEEDS: Final = {MODELS_USE: Permission.MODELS_USE}


def asked(requested: str | None, allowed: str) -> str:
    """Return the scope of a request: left out, everything allowed; unknown names are passed over.

    RFC 6749 section 3.3 lets a server ignore part of what was asked, as long as the answer says what was given.

    Raises:
        Refusal: ``invalid_scope``: nothing of it is allowed.
    """
    if requested is None:
        return allowed
    wanted = requested.split()
    given = " ".join(name for name in allowed.split() if name in wanted)
    if not given:
        raise Refusal("invalid_scope", "None of these scopes may be asked for by this client.")
    return given


def for_service(requested: str | None, allowed: str) -> str:
    """Return the scope of a service account's token: as :func:`asked`, without what only people have.

    Raises:
        Refusal: ``invalid_scope``: nothing of it is left.
    """
    own = " ".join(name for name in allowed.split() if name in MEANINGS and name not in _OF_PEOPLE)
    scope = asked(requested, own)
    if not scope:
        raise Refusal("invalid_scope", "There is no scope here that a service account can have.")
    return scope


def effective(scope: str, role: str) -> str:
    """Return what is left of ``scope`` for a member in ``role``; asked again at every refresh."""
    return " ".join(name for name in scope.split() if _has(role, name))


def _has(role: str, scope: str) -> bool:
    needed = _NEEDS.get(scope)
    return needed is None or (role in set(Role) and allows(Role(role), needed))
