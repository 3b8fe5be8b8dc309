"""What a credential is: the value that authorizes a request, whose it is, who pays, and where it may be sent.

Pure data. Finding one is :mod:`keystead.sources`, keeping one :mod:`keystead.stores`, renewing one
:mod:`keystead.refresher`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from keystead.secret import Secret

ANTHROPIC_API: Final = "https://api.anthropic.com"
_CLOCK_SLACK: Final = 60.0
"""Seconds a clock may be adjusted by without casting doubt on what it said before."""


class BillingClass(StrEnum):
    """Who is charged, in one word (R-03)."""

    SUBSCRIPTION = "subscription"
    METERED = "metered"
    CLOUD = "cloud"
    GATEWAY = "gateway"
    UNKNOWN = "unknown"


class Freshness(StrEnum):
    """Whether a credential can be sent now: two windows, as in botocore and google-auth.

    FRESH: send it. STALE: still valid, renew it if that works. EXPIRED: renew it or fail.
    """

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"


class Header(StrEnum):
    """The one header a credential is sent in."""

    AUTHORIZATION = "authorization"
    X_API_KEY = "x-api-key"


@dataclass(frozen=True, slots=True)
class Account:
    """Who a credential belongs to, as its issuer said. Every field may be unknown.

    Attributes:
        id: the issuer's stable identifier of the person or service account.
        email: as the issuer verified it.
        organization_id: which organization is billed.
        organization_name: for people to read.
    """

    id: str | None = None
    email: str | None = None
    name: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A long-lived key, sent as ``x-api-key`` unless its source says otherwise."""

    secret: Secret
    header: Header = Header.X_API_KEY


@dataclass(frozen=True, slots=True)
class Bearer:
    """A bearer token from the environment or a helper: no expiry known, no renewal of our own."""

    secret: Secret
    header: Header = Header.AUTHORIZATION


@dataclass(frozen=True, slots=True)
class OAuthTokens:
    """Tokens of our own issuer (RFC 6749 section 5.1).

    Attributes:
        issued_at: local clock when the response arrived, Unix seconds.
        expires_in: lifetime of the access token in seconds, as the server said.
        clock_skew: server ``Date`` minus local clock at issue, in seconds (R-26).
        revocation_ticket: can end the sign-in and do nothing else (R-16); ``revocable_until``, a Unix time of the
            local clock, is when there is nothing left to end.
    """

    access_token: Secret
    refresh_token: Secret | None
    issued_at: float
    expires_in: float
    scope: str = ""
    clock_skew: float = 0.0
    revocation_ticket: Secret | None = None
    revocable_until: float | None = None

    @property
    def expires_at(self) -> float:
        """Local-clock Unix time at which the access token ends."""
        return self.issued_at + self.expires_in

    @property
    def stale_at(self) -> float:
        """Local-clock Unix time of the next renewal: a fifth of the lifetime before its end, at most 5 minutes."""
        return self.expires_at - min(300.0, self.expires_in / 5)

    def freshness(self, now: float) -> Freshness:
        """Return the window ``now`` falls in.

        Before its issue a token is stale too: the clock was set back since, and its end can no longer be told (R-26).
        """
        if now >= self.expires_at:
            return Freshness.EXPIRED
        if now < self.issued_at - _CLOCK_SLACK:
            return Freshness.STALE
        return Freshness.STALE if now >= self.stale_at else Freshness.FRESH


@dataclass(frozen=True, slots=True)
class CloudCredential:
    """A cloud's own chain is in charge; Keystead holds no secret of it.

    Attributes:
        provider: ``bedrock``, ``vertex`` or ``foundry``.
    """

    provider: str


Credential = ApiKey | Bearer | OAuthTokens | CloudCredential


class LoginKind(StrEnum):
    """What a sign-in to a Keystead server is kept as.

    GATEWAY: models are called through that server, and the session outranks everything else.
    ACCOUNT: an account of that issuer; ranks last, as the documented precedence has it.
    """

    GATEWAY = "gateway"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Login:
    """One stored sign-in: tokens, identity, organization, origins and billing class in one record (R-06, R-07).

    Attributes:
        issuer: the authorization server, an origin such as ``https://keys.example.com``.
        api_base: base URL that model requests go to.
        token_endpoint: where the tokens are renewed; pinned at sign-in.
        revocation_endpoint: RFC 7009, if the server has one.
        client_id: the OAuth client the tokens were issued to.
        allowed_origins: the only origins the tokens may be sent to.
        upstream: what the server said stands behind it at sign-in (``anthropic``, ``test``, …).
        generation: grows by one with every write of this login.
        retired_at: Unix seconds at which the issuer refused to renew it; it is kept, restorable, and not used.
        extra: fields of the stored record this version does not know, kept as they are (R-02); nested ones as
            the rest of their object. Hidden in ``repr``: a later version may keep secrets there.
        earlier: sign-ins this one took the place of, newest first, restorable; they have none themselves.
    """

    kind: LoginKind
    issuer: str
    api_base: str
    token_endpoint: str
    revocation_endpoint: str | None
    client_id: str
    tokens: OAuthTokens
    account: Account
    billing: BillingClass
    allowed_origins: frozenset[str]
    upstream: str | None = None
    generation: int = 1
    retired_at: float | None = None
    extra: tuple[tuple[str, object], ...] = field(default=(), repr=False)
    earlier: "tuple[Login, ...]" = field(default=(), repr=False)
