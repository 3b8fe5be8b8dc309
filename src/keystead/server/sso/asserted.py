"""What an identity provider said about somebody, once it is certain that it said it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from keystead.secret import Secret

NEVER: Final = datetime.fromtimestamp(0, UTC)
_TIMES: Final = ("valid_until", "authenticated_at")


@dataclass(frozen=True, slots=True)
class Asserted:
    """One verified statement, whichever protocol carried it.

    Attributes:
        subject: the identity provider's own, lasting identifier of the person.
        email_verified: whether the identity provider vouches for the address. SAML has no word for that: there the
            organization's proven ownership of the domain stands for it.
        said: every claim or attribute, to show an administrator who tests the connection.
        valid_until: when the identity provider's own session ends, if it said so.
        authenticated_at: when the person last proved there who they are, if it said so; :data:`NEVER` for a time that
            cannot be read.
        refresh_token: to ask again later, if it gave one.
    """

    subject: str
    email: str
    email_verified: bool
    name: str
    groups: tuple[str, ...]
    said: Mapping[str, Any] = field(repr=False)
    valid_until: datetime | None = None
    refresh_token: Secret | None = None
    authenticated_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without the refresh token, for the moment between two requests."""
        values = {name: getattr(self, name) for name in ("subject", "email", "email_verified", "name")}
        times = {name: getattr(self, name) for name in _TIMES}
        stamps = {name: None if time is None else time.isoformat() for name, time in times.items()}
        return {**values, "groups": list(self.groups), "said": dict(self.said), **stamps}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Asserted":
        """Read what :meth:`to_json` gave."""
        stamps = {name: values.get(name) for name in _TIMES}
        times = {name: None if stamp is None else datetime.fromisoformat(stamp) for name, stamp in stamps.items()}
        return cls(**{**values, "groups": tuple(values["groups"]), **times})


def pointed_at(said: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the group names at ``where``: a claim's name, or a JSON pointer into nested claims (RFC 6901).

    An empty ``where`` is nowhere. A single string counts as one group; what is neither that nor a list as none.
    """
    value = _resolve(said, where) if where.startswith("/") else said.get(where)
    if isinstance(value, str):
        return (value,)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _resolve(value: Any, pointer: str) -> Any:
    for escaped in pointer.split("/")[1:]:
        name = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
