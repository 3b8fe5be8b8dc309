"""Issuers and rules: what may be stored, and by whom."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from issuers import TokenIssuer

from keystead.errors import PolicyDenied, UsageError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PLATFORM = TokenIssuer("https://builds.example.com")


def wanted(**more: Any) -> Any:
    from keystead.server.keys.federation import Issuer
    from keystead.server.keys.models import KeySource

    usual = Issuer("builds", PLATFORM.url, "https://keys.example.com", KeySource.INLINE, jwks=PLATFORM.jwks)
    return replace(usual, **more)


def member_of(administrator: Any, role: str) -> Any:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user(f"{role}@example.com", None, created_at=NOW)
    return organizations.add_member(administrator.organization, person, Role(role), NOW)


def test_an_issuer_keeps_public_keys_only(administrator: Any) -> None:
    from keystead.server.keys import federation

    issuer = federation.create_issuer(administrator, wanted(), NOW)
    assert issuer.jwks == PLATFORM.jwks
    kid, key = PLATFORM.keys[0]
    private = {"keys": [{**key.as_dict(private=True), "kid": kid}]}
    with pytest.raises(UsageError) as refused:
        federation.create_issuer(administrator, wanted(name="other", jwks=private), NOW)
    assert "private" in str(refused.value.hint)


@pytest.mark.parametrize(
    "more",
    [
        {"name": ""},
        {"issuer_url": "builds.example.com"},
        {"issuer_url": "http://builds.example.com"},
        {"issuer_url": "https://builds.example.com?a=b"},
        {"issuer_url": "https://user@builds.example.com"},
        {"issuer_url": "https://builds.example.com/" + "x" * 500},
        {"audience": " "},
        {"max_lifetime_seconds": 0},
        {"max_lifetime_seconds": 200_000},
        {"jwks": None},
        {"jwks": {"keys": []}},
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        {"jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}},
        {"jwks_url": "https://builds.example.com/keys"},
    ],
)
def test_an_issuer_that_will_not_do_is_refused(administrator: Any, more: dict[str, Any]) -> None:
    from keystead.server.keys import federation
    from keystead.server.keys.models import FederationIssuer

    with pytest.raises(UsageError):
        federation.create_issuer(administrator, wanted(**more), NOW)
    assert not FederationIssuer.objects.exists()


def test_keys_at_an_address_of_their_own(administrator: Any) -> None:
    from keystead.server.keys import federation
    from keystead.server.keys.models import KeySource

    own = {"key_source": KeySource.URL, "jwks": None}
    address = "https://builds.example.com/keys"
    assert federation.create_issuer(administrator, wanted(**own, jwks_url=address), NOW).jwks_url == address
    for url in ("", "ftp://builds.example.com", "keys"):
        with pytest.raises(UsageError):
            federation.create_issuer(administrator, wanted(**own, jwks_url=url, name="other"), NOW)


def test_only_administrators_decide_whom_to_trust(administrator: Any) -> None:
    from keystead.server.keys import federation

    issuer = federation.create_issuer(administrator, wanted(), NOW)
    developer = member_of(administrator, "developer")
    with pytest.raises(PolicyDenied):
        federation.create_issuer(developer, wanted(name="mine"), NOW)
    with pytest.raises(PolicyDenied):
        federation.disable(issuer, developer, NOW)
    assert federation.find_issuer(developer, issuer.wire_id) is None
    assert federation.find_issuer(administrator, issuer.wire_id) == issuer
    assert federation.find_issuer(administrator, "fdis_x") is None


def test_a_rule_names_living_things_of_its_own_organization(administrator: Any) -> None:
    from keystead.server.keys import federation, service_accounts
    from keystead.server.policy.federation import parse_conditions

    issuer = federation.create_issuer(administrator, wanted(), NOW)
    account = service_accounts.create(administrator, "deploy", now=NOW)
    usual = federation.Rule("deploys", issuer, account, parse_conditions("sub = a"), "models:use")
    rule = federation.create_rule(administrator, usual, NOW)
    assert federation.find_rule(administrator, rule.wire_id) == rule
    assert [str(one) for one in rule.parsed_conditions] == ["sub = a"]
    lifetimes: list[dict[str, Any]] = [{"lifetime_seconds": seconds} for seconds in (59, 86_401)]
    changes: list[dict[str, Any]] = [{"name": "deploys"}, {"conditions": ()}, {"scope": " "}, *lifetimes]
    for more in changes:
        changed: dict[str, Any] = {"name": "other", **more}
        with pytest.raises(UsageError):
            federation.create_rule(administrator, replace(usual, **changed), NOW)
    service_accounts.disable(account, administrator, NOW)
    account.refresh_from_db()
    with pytest.raises(UsageError):
        federation.create_rule(administrator, replace(usual, name="late", service_account=account), NOW)


def test_a_rule_for_an_issuer_of_everybody_must_say_whose(administrator: Any) -> None:
    from keystead.server.keys import federation, service_accounts
    from keystead.server.policy.federation import parse_conditions

    github = wanted(issuer_url="https://token.actions.githubusercontent.com")
    issuer = federation.create_issuer(administrator, github, NOW)
    account = service_accounts.create(administrator, "deploy", now=NOW)
    for text in ("ref = refs/heads/main", "sub ^= repo:acme"):
        with pytest.raises(UsageError, match="signs for everybody"):
            federation.create_rule(
                administrator, federation.Rule("r", issuer, account, parse_conditions(text), "models:use"), NOW
            )
