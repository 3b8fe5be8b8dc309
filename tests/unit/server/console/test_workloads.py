"""The pages by which an administrator lets pipelines in."""

import json
import re
import time
from html import unescape
from typing import Any

import pytest
from issuers import TokenIssuer

PLATFORM = TokenIssuer("https://builds.example.com")
KINDS = ["accounts", "issuers", "rules"]


@pytest.fixture
def browser(web: Any, administrator: Any) -> Any:
    web.force_login(administrator.person)
    return web


def text(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode())))


def issuer_form(**more: str) -> dict[str, str]:
    usual = {
        "name": "Builds",
        "issuer_url": PLATFORM.url,
        "audience": "http://127.0.0.1:8420",
        "key_source": "inline",
        "jwks": json.dumps(PLATFORM.jwks),
        "check_jti": "on",
        "max_lifetime_seconds": "3600",
    }
    return {**usual, **more}


def set_up(browser: Any, conditions: str = "sub ^= repo:acme/") -> Any:
    """Make an account, an issuer and a rule; returns the page that follows."""
    from keystead.server.keys.models import FederationIssuer, ServiceAccount

    assert browser.post("/workloads/accounts/new", {"name": "deploy", "role": "agent_user"}).status_code == 302
    assert browser.post("/workloads/issuers/new", issuer_form()).status_code == 302
    rule = {
        "name": "Deploys",
        "issuer": FederationIssuer.objects.get().wire_id,
        "service_account": ServiceAccount.objects.get().wire_id,
        "conditions": conditions,
        "scope": "models:use",
        "lifetime_seconds": "900",
    }
    return browser.post("/workloads/rules/new", rule, follow=True)


def test_a_rule_ends_in_the_variables_to_set(browser: Any) -> None:
    from keystead.server.keys.models import FederationRule

    page = text(set_up(browser))
    rule = FederationRule.objects.get()
    assert f"ANTHROPIC_FEDERATION_RULE_ID={rule.wire_id}" in page
    assert f"ANTHROPIC_ORGANIZATION_ID=org_{rule.organization_id.hex}" in page
    listed = text(browser.get("/workloads"))
    assert all(word in listed for word in ("Deploys", "sub ^= repo:acme/", "deploy", PLATFORM.url))


def test_a_token_is_tried_without_being_kept_or_used_up(browser: Any) -> None:
    from keystead.server.authorization.models import Grant, SpentAssertion

    set_up(browser)
    token = PLATFORM.token(now=time.time())
    accepted = browser.post("/workloads/test", {"token": token})
    assert "accepts it, as deploy" in text(accepted)
    assert "No rule looks at: repository, repository_owner." in text(accepted)
    assert token not in accepted.content.decode()
    refused = text(browser.post("/workloads/test", {"token": PLATFORM.token(now=time.time(), sub="repo:evil/app")}))
    assert "does not accept it" in refused
    assert "No sub ^= repo:acme/: it is repo:evil/app" in refused
    for noise, said in (
        ("x", "It is not a signed JWT"),
        (PLATFORM.token(now=1000.0), "Builds: It has expired (exp)."),
        (TokenIssuer("https://other.example").token(now=time.time()), "There is no rule for its issuer"),
        (TokenIssuer(PLATFORM.url).token(now=time.time()), "Builds: Its signature does not verify."),
    ):
        assert said in text(browser.post("/workloads/test", {"token": noise}))
    assert not Grant.objects.exists()
    assert not SpentAssertion.objects.exists()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (issuer_form(jwks="x"), "This is not JSON."),
        (issuer_form(jwks="[]"), "This is not a JWK set"),
        (issuer_form(jwks=""), "Keys are pasted, or fetched."),
        (issuer_form(issuer_url="builds"), "The issuer is an address"),
        (issuer_form(max_lifetime_seconds="0"), "greater than or equal to 1"),
    ],
)
def test_an_issuer_that_will_not_do_is_explained(browser: Any, form: dict[str, str], said: str) -> None:
    response = browser.post("/workloads/issuers/new", form)
    assert response.status_code == 422
    assert said in text(response)


@pytest.mark.parametrize(("conditions", "said"), [("sub", "not of the form"), ("sub ~= *", "would accept")])
def test_a_condition_that_will_not_do_is_explained(browser: Any, conditions: str, said: str) -> None:
    response = set_up(browser, conditions)
    assert response.status_code == 422
    assert said in text(response)


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_disabled_after_a_question(browser: Any, kind: str) -> None:
    from keystead.server.keys.models import FederationIssuer, FederationRule, ServiceAccount

    set_up(browser)
    models: dict[str, Any] = {"accounts": ServiceAccount, "issuers": FederationIssuer, "rules": FederationRule}
    model = models[kind]
    address = f"/workloads/{kind}/{model.objects.get().wire_id}/disable"
    assert "cannot be undone" in text(browser.get(address))
    assert model.objects.get().disabled_at is None
    assert browser.post(address).status_code == 302
    assert model.objects.get().disabled_at is not None
    assert "It was disabled on" in text(browser.get(address))


def test_only_administrators_see_them(web: Any, administrator: Any) -> None:
    from django.test import Client

    from keystead.server.organizations.models import Membership

    addresses = ["/workloads", "/workloads/test", *(f"/workloads/{kind}/new" for kind in KINDS)]
    for address in addresses:
        assert Client(SERVER_NAME="127.0.0.1").get(address).status_code == 302
    Membership.objects.filter(pk=administrator.pk).update(role="developer")
    web.force_login(administrator.person)
    assert [web.get(address).status_code for address in addresses] == [403] * 5
    Membership.objects.filter(pk=administrator.pk).update(role="admin")
    for address in ("/workloads/x/new", "/workloads/x/y/disable", "/workloads/rules/fdrl_1"):
        assert web.get(address).status_code == 404
