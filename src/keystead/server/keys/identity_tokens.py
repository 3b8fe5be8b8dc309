"""Identity tokens of workloads: verified against their issuer's keys, then held against the rules."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from keystead.server import assertions
from keystead.server.assertions import NotVerified, SignedClaims, UnknownKey, Unverified
from keystead.server.keys import issuer_keys
from keystead.server.keys.issuer_keys import Access
from keystead.server.keys.models import FederationIssuer, FederationRule
from keystead.server.outbound import NotFetched
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


def verify_at_once(token: str, issuer: FederationIssuer, now: datetime) -> SignedClaims | None:
    """Return what :func:`verify` would, or None when the issuer's keys may have to be fetched for it.

    Raises:
        NotVerified: as there.
    """
    keys = issuer_keys.at_hand(issuer, now)
    try:
        return None if keys is None else assertions.verify(token, keys, now.timestamp())
    except UnknownKey:
        return None


def examine(rule: FederationRule, claims: SignedClaims) -> Examined:
    """Hold verified claims against the issuer's expectations and the rule's conditions."""
    issuer = rule.issuer
    expected = Expected(issuer.issuer_url, issuer.audience, issuer.max_lifetime_seconds)
    conditions = policy.examine(rule.parsed_conditions, claims)
    return Examined(rule, claims, (*policy.examine_token(claims, expected), *conditions))


@dataclass(frozen=True, slots=True)
class Trial:
    """What would become of a token, for an administrator to read.

    Attributes:
        claims: what it says, unverified when ``faults`` is not empty.
        faults: why it does not hold, one sentence for each issuer of its address; or that there is none.
        examined: the living rules of its issuers, with a verdict for each check.
        unasked: names of claims that no rule looks at.
    """

    claims: dict[str, Any]
    faults: tuple[str, ...] = ()
    examined: tuple[Examined, ...] = ()
    unasked: tuple[str, ...] = ()


def try_out(token: str, rules: QuerySet[FederationRule], access: Access, now: datetime) -> Trial:
    """Examine a token by all living ``rules`` of its issuer; it is not used up."""
    stated = read(token)
    if stated is None:
        return Trial({}, ("It is not a signed JWT: it should be three parts with a dot between each.",))
    living = rules.filter(disabled_at=None, issuer__disabled_at=None, issuer__issuer_url=stated.text("iss") or "")
    by_issuer: dict[FederationIssuer, list[FederationRule]] = {}
    for rule in living:
        by_issuer.setdefault(rule.issuer, []).append(rule)
    if not by_issuer:
        return Trial(dict(stated.claims), ("There is no rule for its issuer (iss).",))
    faults: list[str] = []
    examined: list[Examined] = []
    for issuer, its_rules in by_issuer.items():
        try:
            claims = verify(token, issuer, access, now)
        except (NotVerified, NotFetched) as error:
            faults.append(f"{issuer.name}: {error}")
        else:
            examined += [examine(rule, claims) for rule in its_rules]
    asked = {one.claim.lstrip("/").split("/")[0] for rule in living for one in rule.parsed_conditions}
    unasked = sorted(stated.claims.keys() - asked - policy.CHECKS.keys() - {"iat", "nbf", "jti"})
    return Trial(dict(stated.claims), tuple(faults), tuple(examined), tuple(unasked))
