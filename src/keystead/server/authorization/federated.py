"""Identities of other issuers at the token endpoint: found, verified and held against the rules, before any is used.

This happens outside the transaction of the grant, since it may have to fetch an issuer's keys. What a caller is told
names no rule and no condition; which condition failed stands in the audit record, for an identity whose signature
holds, and a bounded number of times.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import CharField, QuerySet, UUIDField

from keystead.server.assertions import NotVerified, SignedClaims
from keystead.server.audit import operations as audit
from keystead.server.authorization import spent_assertions
from keystead.server.authorization.checks import attempts
from keystead.server.authorization.checks.attempts import Limit
from keystead.server.authorization.models import Client
from keystead.server.authorization.parameters import Parameters
from keystead.server.authorization.refusals import MustWait, Refusal, invalid_grant, invalid_request
from keystead.server.authorization.surroundings import server
from keystead.server.keys import federation, identity_tokens
from keystead.server.keys.identity_tokens import Examined
from keystead.server.keys.issuer_keys import Access
from keystead.server.keys.models import FederationIssuer, FederationRule
from keystead.server.outbound import NotFetched, reach
from keystead.server.statements import Parameter, Prepared
from keystead.wire import ids

_AUDITED: Final = Limit("refused-identities", 100, 600)
"""Refusals that are written down for one issuer: anybody with an account at a shared issuer could send more."""
_SHORTEST: Final = timedelta(seconds=60)
NO_RULE: Final = "No federation rule accepts this identity token. An administrator finds why in the audit record."


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified identity token and the one rule that accepts it.

    Attributes:
        lifetime: of what it may be exchanged for: the rule's, and not much longer than the identity itself lives.
    """

    rule: FederationRule
    claims: SignedClaims
    now: datetime

    @property
    def lifetime(self) -> timedelta:
        remaining = timedelta(seconds=float(self.claims["exp"]) - self.now.timestamp())
        return max(_SHORTEST, min(timedelta(seconds=self.rule.lifetime_seconds), 2 * remaining))

    @property
    def because(self) -> dict[str, str]:
        """What the audit record says of why: the rule, and whose identity it was."""
        return {
            "rule": self.rule.wire_id,
            "issuer": self.rule.issuer.issuer_url,
            "subject": str(self.claims["sub"])[:500],
        }

    def spend(self) -> None:
        """Use the token up, if its issuer's tokens work once; call it in the transaction that uses it.

        Raises:
            Refusal: it was used before.
        """
        jti, issuer = self.claims.get("jti"), self.rule.issuer
        if not issuer.check_jti or jti is None:
            return
        expires = float(self.claims["exp"])
        if not spent_assertions.spend(issuer.wire_id, str(jti), expires):
            raise invalid_grant("This identity token was used before. Ask the platform for a new one.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says beside the token.

    Attributes:
        parameters: which may name ``federation_rule_id``, ``organization_id``, ``service_account_id`` and
            ``workspace_id``, as the vendor's SDKs do.
        client: who asks; it may use its own organization's rules only.
        at_once: others wait for the answer, so no keys may be fetched.
    """

    parameters: Parameters
    client: Client | None
    at_once: bool = False


def identify(token: str, asked: Asked, now: datetime) -> Identity:
    """Return who a token identifies, by the one rule that accepts it.

    Args:
        token: the identity token.
        asked: what else the request says.
        now: when.

    Raises:
        Refusal: ``invalid_grant`` without a word about the rules; 503 when the issuer's keys cannot be had.
        MustWait: it was to be answered at once, and keys may have to be fetched; nothing has been written.
    """
    stated = identity_tokens.read(token)
    if stated is None:
        raise invalid_grant("The identity token is not a signed JWT.")
    candidates = _candidates(asked, stated.text("iss") or "")
    if not candidates:
        raise invalid_grant(NO_RULE)
    examined = _examined(token, candidates, asked, now)
    accepting = [one for one in examined if one.is_accepted]
    if len(accepting) != 1:
        _write_down(examined, now)
        raise invalid_grant(NO_RULE if not accepting else "More than one rule accepts it: name federation_rule_id.")
    _check_choice(accepting[0].rule, asked.parameters)
    return Identity(accepting[0].rule, accepting[0].claims, now)


def _examined(token: str, rules: list[FederationRule], asked: Asked, now: datetime) -> list[Examined]:
    """Verify once for each issuer of that address, and examine its rules; one issuer that fails spoils no other."""
    examined: list[Examined] = []
    fault = invalid_grant(NO_RULE)
    for issuer in {rule.issuer_id: rule.issuer for rule in rules}.values():
        try:
            claims = _verified(token, issuer, asked, now)
        except Refusal as refusal:
            fault = refusal
            continue
        examined += [identity_tokens.examine(rule, claims) for rule in rules if rule.issuer_id == issuer.id]
    if not examined:
        raise fault
    return examined


def _of(**more: Parameter) -> QuerySet[FederationRule]:
    organization, issuer = Parameter("organization", UUIDField()), Parameter("issuer", CharField())
    rules = federation.living_rules().filter(organization=organization, issuer__issuer_url=issuer, **more)
    return rules.order_by("created_at", "id")[:50]


_RULES: Final = Prepared(_of)
_RULE: Final = Prepared(lambda: _of(pk=Parameter("rule", UUIDField())))


def _candidates(asked: Asked, issuer: str) -> list[FederationRule]:
    """Return the rules that the request may mean; one that names none must come from a client that has a home."""
    parameters, named = asked.parameters, _organization(asked.parameters)
    home = None if asked.client is None else asked.client.organization_id
    organization = home or named
    if organization is None:
        raise invalid_request("The parameter organization_id is missing.")
    if named not in (None, organization):
        return []
    if "federation_rule_id" not in parameters:
        return _RULES.all(organization=organization, issuer=issuer)
    rule = _uuid("federation_rule", parameters["federation_rule_id"])
    return _RULE.all(organization=organization, issuer=issuer, rule=rule)


def _organization(parameters: Parameters) -> UUID | None:
    """Return the organization that is named: by our identifier, or as a bare UUID, which the vendor's are."""
    named = parameters.get("organization_id")
    if named is None:
        return None
    try:
        return UUID(named)
    except ValueError:
        return _uuid("organization", named)


def _uuid(kind: str, text: str) -> UUID:
    try:
        return ids.parse(kind, text)
    except ValueError as error:
        raise invalid_grant(NO_RULE) from error


def _verified(token: str, issuer: FederationIssuer, asked: Asked, now: datetime) -> SignedClaims:
    try:
        claims = identity_tokens.verify_at_once(token, issuer, now)
        if claims is not None:
            return claims
        if asked.at_once:
            raise MustWait
        return identity_tokens.verify(token, issuer, Access(reach(server())), now)
    except NotVerified as error:
        raise invalid_grant(f"The identity token does not hold. {error}") from error
    except NotFetched as error:
        raise Refusal(
            "temporarily_unavailable",
            "The keys of the issuer cannot be fetched at the moment. Try again shortly.",
            503,
            {"Retry-After": "15"},
        ) from error


def _check_choice(rule: FederationRule, parameters: Parameters) -> None:
    """Check what else the request names; a rule leaves no choice, so it can only agree."""
    account = rule.service_account
    workspace = ids.dump("workspace", account.workspace_id)
    names = {workspace, str(account.workspace_id)} | ({"default"} if account.workspace.is_default else set())
    if parameters.get("service_account_id", account.wire_id) != account.wire_id:
        raise invalid_grant("The identity is not accepted for that service account.")
    if parameters.get("workspace_id", workspace) not in names:
        raise invalid_grant("The identity is not accepted for that workspace.")


def _write_down(examined: list[Examined], now: datetime) -> None:
    """Record for the administrators why an identity was refused, rule by rule."""
    issuer = examined[0].rule.issuer
    if attempts.used_up(_AUDITED, issuer.wire_id):
        return
    attempts.count(_AUDITED, issuer.wire_id)
    for one in examined[:5]:
        audit.record(
            organization=issuer.organization,
            actor=audit.SYSTEM,
            action="federation:refuse",
            target=one.rule.wire_id,
            at=now,
            details={
                "issuer": issuer.issuer_url,
                "subject": str(one.claims.get("sub"))[:500],
                "failed": "; ".join(f"{verdict.what}: {verdict.detail}" for verdict in one.failed)[:2000]
                or "another rule accepts it too",
            },
        )
