"""Identity tokens of workloads: verified against their issuer's keys, then held against the rules."""

from dataclasses import dataclass
from datetime import datetime

from keystead.server import assertions
from keystead.server.assertions import SignedClaims, UnknownKey, Unverified
from keystead.server.keys import issuer_keys
from keystead.server.keys.issuer_keys import Access
from keystead.server.keys.models import FederationIssuer, FederationRule
from keystead.server.policy import federation as policy
from keystead.server.policy.federation import Expected, Verdict


@dataclass(frozen=True, slots=True)
class Examined:
    """A rule, the claims it was held against, and what came of each check."""

    rule: FederationRule
    claims: SignedClaims
    verdicts: tuple[Verdict, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether every check holds, and there are some."""
        return policy.accepted(self.verdicts)

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The checks that do not hold."""
        return tuple(one for one in self.verdicts if not one.holds)


def read(token: str) -> Unverified | None:
    """Return what a token says of itself, unverified, to find out whose it is."""
    return assertions.read(token)


def verify(token: str, issuer: FederationIssuer, access: Access, now: datetime) -> SignedClaims:
    """Return the claims of a token that the issuer signed and that is in time.

    Raises:
        NotVerified: it is not; the message may be told to whoever sent it.
        NotFetched: the issuer's keys cannot be had.
    """
    try:
        return assertions.verify(token, issuer_keys.keys_of(issuer, access, now), now.timestamp())
    except UnknownKey:
        renewed = issuer_keys.keys_of(issuer, access, now, unknown_key=True)
        return assertions.verify(token, renewed, now.timestamp())


def examine(rule: FederationRule, claims: SignedClaims) -> Examined:
    """Hold verified claims against the issuer's expectations and the rule's conditions."""
    issuer = rule.issuer
    expected = Expected(issuer.issuer_url, issuer.audience, issuer.max_lifetime_seconds)
    conditions = policy.examine(rule.parsed_conditions, claims)
    return Examined(rule, claims, (*policy.examine_token(claims, expected), *conditions))
