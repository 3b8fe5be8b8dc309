"""What an OpenID Connect connection keeps in its row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from keystead.server.sso.openid import Metadata

USUAL_SCOPE: Final = ("openid", "email", "profile")


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The settings of one connection.

    Attributes:
        scope: what is asked for, besides ``offline_access``.
        groups_claim: the claim with the groups, or a JSON pointer to it; empty for none.
        asks_consent: whether ``prompt=consent`` is sent, without which some providers give no refresh token.
    """

    metadata: Metadata
    client_id: str = ""
    scope: tuple[str, ...] = USUAL_SCOPE
    groups_claim: str = "groups"
    asks_consent: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a row."""
        return {
            "metadata": self.metadata.to_json(),
            "client_id": self.client_id,
            "scope": list(self.scope),
            "groups_claim": self.groups_claim,
            "asks_consent": self.asks_consent,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "OidcSettings":
        """Read what :meth:`to_json` gave."""
        return cls(
            metadata=Metadata.from_json(values["metadata"]),
            client_id=values["client_id"],
            scope=tuple(values["scope"]),
            groups_claim=values["groups_claim"],
            asks_consent=values["asks_consent"],
        )

    @property
    def asked_scope(self) -> str:
        """The scope parameter: with ``offline_access`` where it is offered, to be able to ask again later."""
        offered = self.metadata.scopes
        more = ("offline_access",) if "offline_access" in offered and "offline_access" not in self.scope else ()
        return " ".join((*self.scope, *more))

    @property
    def prompt(self) -> str:
        """The prompt parameter; empty for none."""
        return "consent" if self.asks_consent else ""
