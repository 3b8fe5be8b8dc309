"""Who may do what: pure functions from facts to a decision."""

from dataclasses import dataclass
from enum import StrEnum


class PrincipalKind(StrEnum):
    """How the caller proved itself."""

    API_KEY = "api_key"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a gateway request, as the control plane knows it.

    Attributes:
        id: identifier of the API key or of the sign-in session, with its type prefix.
        organization_id: who pays.
        member_id: the person behind it; None when a service account is.
        service_account_id: the service account behind it, or None.
        expires_at: Unix seconds after which it must not be accepted, or None.
        key_thumbprint: of the key that must sign each request (RFC 9449), or empty for a bearer credential.
    """

    kind: PrincipalKind
    id: str
    organization_id: str
    workspace_id: str
    member_id: str | None
    client_id: str | None = None
    expires_at: float | None = None
    service_account_id: str | None = None
    key_thumbprint: str = ""
