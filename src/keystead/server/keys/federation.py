"""Issuers and rules of workload identity: made, listed and disabled by an organization's administrators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import QuerySet

from keystead.errors import UsageError
from keystead.server import assertions, outbound
from keystead.server.audit import operations as audit
from keystead.server.keys.models import FederationIssuer, FederationRule, KeySource, ServiceAccount
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission
from keystead.server.policy import federation as rules
from keystead.server.policy.federation import Condition
from keystead.wire import ids

LONGEST_TOKEN: Final = 176_400
"""Seconds that an identity token may have been made for, at the most that an issuer can be given (49 hours)."""
LIFETIMES: Final = (60, 86_400)
"""Seconds that a rule's access tokens may live; the server's own limit holds beside it."""

Row = TypeVar("Row", FederationIssuer, FederationRule)


@dataclass(frozen=True, slots=True)
class Issuer:
    """What an issuer is to be; :class:`~keystead.server.keys.models.FederationIssuer` says what each means."""

    name: str
    issuer_url: str
    audience: str
    key_source: KeySource = KeySource.DISCOVERY
    jwks_url: str = ""
    jwks: dict[str, Any] | None = None
    ca_pem: str = ""
    check_jti: bool = True
    max_lifetime_seconds: int = 3600


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule is to be."""

    name: str
    issuer: FederationIssuer
    service_account: ServiceAccount
    conditions: Sequence[Condition]
    scope: str
    lifetime_seconds: int = 3600


def create_issuer(member: Membership, wanted: Issuer, now: datetime) -> FederationIssuer:
    """Store an issuer that the member's organization trusts.

    Raises:
        PolicyDenied: the member may not.
        UsageError: something in it will not do.
    """
    organizations.require(member, Permission.FEDERATION_MANAGE, "trust another issuer")
    _check_issuer(wanted)
    _check_name(member, FederationIssuer, wanted.name)
    with transaction.atomic():
        issuer = FederationIssuer.objects.create(
            organization=member.organization,
            name=wanted.name.strip(),
            issuer_url=wanted.issuer_url,
            audience=wanted.audience,
            key_source=wanted.key_source.value,
            jwks_url=wanted.jwks_url,
            jwks=None if wanted.jwks is None else {"keys": assertions.public_keys(wanted.jwks)},
            ca_pem=wanted.ca_pem,
            check_jti=wanted.check_jti,
            max_lifetime_seconds=wanted.max_lifetime_seconds,
            created_at=now,
        )
        _record(member, "federation_issuer:create", issuer, now, {"issuer": issuer.issuer_url})
    return issuer


def create_rule(member: Membership, wanted: Rule, now: datetime) -> FederationRule:
    """Store a rule of the member's organization.

    Raises:
        PolicyDenied: the member may not.
        UsageError: something in it will not do, or it would accept strangers.
    """
    organizations.require(member, Permission.FEDERATION_MANAGE, "make a federation rule")
    _check_rule(member, wanted)
    _check_name(member, FederationRule, wanted.name)
    with transaction.atomic():
        rule = FederationRule.objects.create(
            organization=member.organization,
            issuer=wanted.issuer,
            service_account=wanted.service_account,
            name=wanted.name.strip(),
            conditions=[[one.claim, one.operator.value, one.value] for one in wanted.conditions],
            scope=" ".join(wanted.scope.split()),
            lifetime_seconds=wanted.lifetime_seconds,
            created_at=now,
        )
        said = {"conditions": "\n".join(map(str, wanted.conditions)), "service_account": rule.service_account.wire_id}
        _record(member, "federation_rule:create", rule, now, said)
    return rule


def disable(row: FederationIssuer | FederationRule, by: Membership, now: datetime) -> bool:
    """Accept no identity by this issuer or rule any more; returns False when that was so before.

    Tokens that were given out end by themselves within the hour; disabling the service account ends them at once.

    Raises:
        PolicyDenied: the member may not.
    """
    organizations.require(by, Permission.FEDERATION_MANAGE, "change federation")
    mine = type(row)._default_manager.filter(pk=row.pk, organization=by.organization_id, disabled_at=None)
    with transaction.atomic():
        if not mine.update(disabled_at=now):
            return False
        _record(by, f"{_KINDS[type(row)]}:disable", row, now, {})
    return True


def issuers_for(member: Membership) -> QuerySet[FederationIssuer]:
    """Return the organization's issuers, newest first, for those who may manage them."""
    if not organizations.may(member, Permission.FEDERATION_MANAGE):
        return FederationIssuer.objects.none()
    return FederationIssuer.objects.filter(organization=member.organization_id).order_by("-created_at", "-id")


def rules_for(member: Membership) -> QuerySet[FederationRule]:
    """Return the organization's rules, newest first, for those who may manage them."""
    if not organizations.may(member, Permission.FEDERATION_MANAGE):
        return FederationRule.objects.none()
    mine = FederationRule.objects.filter(organization=member.organization_id)
    return mine.select_related("issuer", "service_account__workspace").order_by("-created_at", "-id")


def find_issuer(member: Membership, issuer_id: str) -> FederationIssuer | None:
    """Return the issuer with that wire identifier if the member may manage it."""
    return _found(issuers_for(member), "federation_issuer", issuer_id)


def find_rule(member: Membership, rule_id: str) -> FederationRule | None:
    """Return the rule with that wire identifier if the member may manage it."""
    return _found(rules_for(member), "federation_rule", rule_id)


def living_rules() -> QuerySet[FederationRule]:
    """Return the rules by which identities are accepted now, of every organization."""
    living = FederationRule.objects.filter(
        disabled_at=None, issuer__disabled_at=None, service_account__disabled_at=None
    )
    return living.select_related("issuer", "service_account__workspace", "service_account__organization")


_KINDS: Final = {FederationIssuer: "federation_issuer", FederationRule: "federation_rule"}


def _found(rows: QuerySet[Row], kind: str, wire_id: str) -> Row | None:
    try:
        return rows.filter(pk=ids.parse(kind, wire_id)).first()
    except ValueError:
        return None


def _check_name(member: Membership, model: type[FederationIssuer] | type[FederationRule], name: str) -> None:
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError("It needs a name of 1 to 100 printable characters.", hint="Name it after the platform.")
    if model._default_manager.filter(organization=member.organization_id, name=name, disabled_at=None).exists():
        raise UsageError("There is one of that name.", hint="Choose another name.")


def _check_issuer(wanted: Issuer) -> None:
    if not _is_issuer(wanted.issuer_url):
        raise UsageError(
            "The issuer is an address that begins with https://, without query and fragment.",
            hint="It is the iss of its tokens, character for character.",
        )
    if not wanted.audience.strip() or len(wanted.audience) > 500 or not wanted.audience.isprintable():
        raise UsageError("An issuer needs the audience of its tokens.", hint="Use this server's address.")
    if not 1 <= wanted.max_lifetime_seconds <= LONGEST_TOKEN:
        raise UsageError(f"An identity token lives 1 to {LONGEST_TOKEN} seconds.", hint="3600 suits most platforms.")
    _check_key_source(wanted)


def _is_issuer(url: str) -> bool:
    if outbound.check_address(url) is not None or len(url) > 500:
        return False
    parts = urlsplit(url)
    return not parts.query and (parts.scheme == "https" or parts.hostname in {"127.0.0.1", "::1", "localhost"})


def _check_key_source(wanted: Issuer) -> None:
    if (wanted.key_source is KeySource.INLINE) != (wanted.jwks is not None):
        raise UsageError("Keys are pasted, or fetched.", hint="Choose one, and leave the other empty.")
    if (wanted.key_source is KeySource.URL) != bool(wanted.jwks_url):
        raise UsageError("Keys with an address of their own need that address, and no others do.", hint="Enter it.")
    if wanted.jwks_url and (fault := outbound.check_address(wanted.jwks_url)) is not None:
        raise UsageError(f"The address of the keys will not do. {fault}", hint="It begins with https://.")
    if wanted.jwks is None:
        return
    try:
        assertions.public_keys(wanted.jwks)
    except assertions.NotVerified as error:
        raise UsageError("That JWK set will not do.", hint=str(error)) from error


def _check_rule(member: Membership, wanted: Rule) -> None:
    for row in (wanted.issuer, wanted.service_account):
        if row.organization_id != member.organization_id or row.disabled_at is not None:
            raise UsageError("The issuer and the service account must be living ones of yours.", hint="Choose others.")
    if not wanted.conditions:
        raise UsageError("A rule needs a condition.", hint="Without one it would accept nobody.")
    rules.require_owner(wanted.issuer.issuer_url, wanted.conditions)
    shortest, longest = LIFETIMES
    if not shortest <= wanted.lifetime_seconds <= longest:
        raise UsageError(f"A token lives {shortest} to {longest} seconds.", hint="3600 suits most pipelines.")
    if not wanted.scope.split():
        raise UsageError("A rule needs a scope.", hint="models:use is what an agent needs.")


def _record(
    by: Membership, action: str, row: FederationIssuer | FederationRule, now: datetime, said: dict[str, str]
) -> None:
    audit.record(
        organization=row.organization,
        actor=ids.dump("membership", by.id),
        action=action,
        target=row.wire_id,
        at=now,
        details={"name": row.name, **said},
    )
