"""Workload identity: a platform's token for a service account's, by the rule that accepts it and by no other."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from issuers import TokenIssuer, running_issuer
from races import THREADS, together

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PLATFORM = "https://builds.example.com"


@pytest.fixture
def account(administrator: Any, program: Any) -> Any:
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import service_accounts

    return service_accounts.create(administrator, "deploy", now=now())


@pytest.fixture
def platform() -> TokenIssuer:
    return TokenIssuer(PLATFORM)


@pytest.fixture
def issuer(administrator: Any, account: Any, platform: TokenIssuer) -> Any:
    return trust(administrator, platform)


@pytest.fixture
def rule(administrator: Any, account: Any, issuer: Any) -> Any:
    return accept(administrator, issuer, account)


def trust(administrator: Any, platform: TokenIssuer, **more: Any) -> Any:
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import federation
    from keystead.server.keys.models import KeySource

    wanted = federation.Issuer("builds", platform.url, "http://127.0.0.1:8420", KeySource.INLINE, jwks=platform.jwks)
    return federation.create_issuer(administrator, replace(wanted, **more), now())


def accept(administrator: Any, issuer: Any, account: Any, text: str = "sub ^= repo:acme/app:", **more: Any) -> Any:
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import federation
    from keystead.server.policy.federation import parse_conditions

    wanted = federation.Rule("deploys", issuer, account, parse_conditions(text), "models:use")
    return federation.create_rule(administrator, replace(wanted, **more), now())


def exchange(program: Any, rule: Any, token: str, **more: str) -> tuple[int, dict[str, Any]]:
    """Ask as the vendor's SDKs do: JSON, below the API's own path."""
    body = {
        "grant_type": GRANT,
        "assertion": token,
        "federation_rule_id": rule.wire_id,
        "organization_id": str(rule.organization_id),
        **more,
    }
    response = program.web.post("/v1/oauth/token", json.dumps(body), content_type="application/json")
    return response.status_code, response.json()


def principal_of(token: str, clock: Any) -> Any:
    from keystead.server.authorization import operations

    return operations.verify_access_token(token, clock.now(), operations.verification_keys(clock.now()))


@pytest.mark.requirement("rfc7523 2.1")
def test_an_identity_becomes_a_service_account(
    program: Any, rule: Any, account: Any, platform: TokenIssuer, clock: Any
) -> None:
    from keystead.server.audit.models import AuditEvent

    status, answer = exchange(program, rule, platform.token(now=clock.now()))
    assert status == 200, answer
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer["scope"], answer["expires_in"]) == ("models:use", 1200)
    principal = principal_of(answer["access_token"], clock)
    assert (principal.service_account_id, principal.client_id) == (account.wire_id, "workload")
    event = AuditEvent.objects.get(action="grant:create")
    assert event.details["rule"] == rule.wire_id
    assert event.details["subject"] == "repo:acme/app:ref:refs/heads/main"


def test_a_form_at_the_token_endpoint_does_as_well(program: Any, rule: Any, platform: TokenIssuer, clock: Any) -> None:
    token = platform.token(now=clock.now())
    organization = f"org_{rule.organization_id.hex}"
    status, _ = program.token(grant_type=GRANT, assertion=token, organization_id=organization)
    assert status == 200, "the issuer's only rule is found without its name"


@pytest.mark.requirement("rfc7523 3.1")
@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "repo:acme/application:ref:refs/heads/main"},
        {"sub": None},
        {"aud": "https://elsewhere.example"},
        {"iss": "https://builds.example.com/"},
        {"iat": None},
        {"exp": None},
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"iat": 1},
    ],
)
def test_an_identity_that_does_not_fit_is_refused_without_a_word_about_rules(
    program: Any, rule: Any, platform: TokenIssuer, clock: Any, claims: dict[str, Any]
) -> None:
    status, answer = exchange(program, rule, platform.token(now=clock.now(), **claims))
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert "acme" not in answer["error_description"]
    assert rule.wire_id not in answer["error_description"]


def test_which_condition_failed_stands_in_the_audit_record(
    program: Any, rule: Any, platform: TokenIssuer, clock: Any
) -> None:
    from keystead.server.audit.models import AuditEvent

    exchange(program, rule, platform.token(now=clock.now(), sub="repo:evil/app:x"))
    event = AuditEvent.objects.get(action="federation:refuse")
    assert event.target == rule.wire_id
    assert event.details["failed"] == "sub ^= repo:acme/app:: it is repo:evil/app:x"


def test_strangers_cannot_fill_the_audit_record(program: Any, rule: Any, platform: TokenIssuer, clock: Any) -> None:
    from keystead.server.audit.models import AuditEvent

    for number in range(105):
        exchange(program, rule, platform.token(now=clock.now(), sub=f"repo:evil/{number}"))
    assert AuditEvent.objects.filter(action="federation:refuse").count() == 100
    forged = TokenIssuer(PLATFORM).token(now=clock.now())
    assert exchange(program, rule, forged)[1]["error_description"].endswith("Its signature does not verify.")


@pytest.mark.requirement("rfc7523 3 replay")
def test_an_identity_works_once(program: Any, rule: Any, platform: TokenIssuer, clock: Any) -> None:
    token = platform.token(now=clock.now())
    assert exchange(program, rule, token)[0] == 200
    status, answer = exchange(program, rule, token)
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert "used before" in answer["error_description"]
    assert exchange(program, rule, platform.token(now=clock.now(), jti="another"))[0] == 200


def test_of_sixteen_uses_of_an_identity_at_once_one_wins(
    program: Any, rule: Any, platform: TokenIssuer, clock: Any
) -> None:
    from keystead.server.authorization.models import Grant

    token = platform.token(now=clock.now())
    body = {"grant_type": GRANT, "assertion": token, "organization_id": str(rule.organization_id)}
    answers = together(lambda client: client.post("/v1/oauth/token", body, content_type="application/json"))
    assert Counter(one.status_code for one in answers) == {200: 1, 400: THREADS - 1}
    assert Grant.objects.count() == 1


def test_an_issuer_whose_tokens_rest_in_a_file_may_let_them_work_again(
    administrator: Any, program: Any, account: Any, platform: TokenIssuer, clock: Any
) -> None:
    rule = accept(administrator, trust(administrator, platform, check_jti=False), account)
    token = platform.token(now=clock.now())
    assert [exchange(program, rule, token)[0] for _ in range(2)] == [200, 200]


def test_a_refused_exchange_uses_nothing_up(program: Any, rule: Any, platform: TokenIssuer, clock: Any) -> None:
    token = platform.token(now=clock.now())
    assert exchange(program, rule, token, scope="nothing")[1]["error"] == "invalid_scope"
    assert exchange(program, rule, token, service_account_id="svac_1")[1]["error"] == "invalid_grant"
    assert exchange(program, rule, token, workspace_id="wrk_1")[1]["error"] == "invalid_grant"
    assert exchange(program, rule, token)[0] == 200


def test_what_the_request_names_may_agree_with_the_rule(
    program: Any, rule: Any, account: Any, platform: TokenIssuer, clock: Any
) -> None:
    workspace = f"wrk_{account.workspace_id.hex}"
    for jti, name in (("1", "default"), ("2", workspace), ("3", str(account.workspace_id))):
        more = {"workspace_id": name, "service_account_id": account.wire_id}
        assert exchange(program, rule, platform.token(now=clock.now(), jti=jti), **more)[0] == 200


@pytest.mark.parametrize("name", ["federation_rule_id", "organization_id"])
@pytest.mark.parametrize("value", ["x", "fdrl_" + "0" * 32, "org_" + "0" * 32])
def test_a_rule_or_organization_that_is_not_there_is_not_told_apart(
    program: Any, rule: Any, platform: TokenIssuer, clock: Any, name: str, value: str
) -> None:
    status, answer = exchange(program, rule, platform.token(now=clock.now()), **{name: value})
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert answer["error_description"].startswith("No federation rule accepts")


def test_the_token_lives_no_longer_than_twice_the_identity(
    administrator: Any, program: Any, account: Any, issuer: Any, platform: TokenIssuer, clock: Any
) -> None:
    rule = accept(administrator, issuer, account, lifetime_seconds=900)
    for lives, expected in ((600, 900), (200, 400), (10, 60)):
        token = platform.token(now=clock.now(), exp=int(clock.now()) + lives, jti=str(lives))
        assert exchange(program, rule, token)[1]["expires_in"] == expected


@pytest.mark.parametrize("ended", ["rule", "issuer", "account"])
def test_what_an_administrator_has_ended_accepts_nobody(
    administrator: Any, program: Any, rule: Any, account: Any, platform: TokenIssuer, clock: Any, ended: str
) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import federation, service_accounts

    if ended == "account":
        service_accounts.disable(account, administrator, now())
    else:
        assert federation.disable(rule if ended == "rule" else rule.issuer, administrator, now())
        assert not federation.disable(rule if ended == "rule" else rule.issuer, administrator, now())
    assert exchange(program, rule, platform.token(now=clock.now()))[1]["error"] == "invalid_grant"


def test_two_rules_that_accept_it_must_be_told_apart(
    administrator: Any, program: Any, rule: Any, issuer: Any, account: Any, platform: TokenIssuer, clock: Any
) -> None:
    other = accept(administrator, issuer, account, "repository = acme/app", name="other")
    ask = {"assertion": platform.token(now=clock.now()), "organization_id": str(rule.organization_id)}
    assert "federation_rule_id" in program.token(grant_type=GRANT, **ask)[1]["error_description"]
    assert exchange(program, other, ask["assertion"])[0] == 200


@pytest.mark.requirement("rfc8725 3.1 workloads")
def test_a_token_signed_with_a_shared_secret_or_with_nothing_is_refused(
    program: Any, rule: Any, platform: TokenIssuer, clock: Any
) -> None:
    from joserfc import jwt
    from joserfc.jwk import OctKey

    claims = {"iss": PLATFORM, "sub": "repo:acme/app:x", "aud": "http://127.0.0.1:8420"}
    public = json.dumps(platform.jwks["keys"][0])
    shared = jwt.encode({"alg": "HS256", "kid": "key-1"}, claims, OctKey.import_key(public))
    head, body, _ = platform.token(now=clock.now()).split(".")
    for token in (shared, f"{head}.{body}.", "e30.e30.", "x", "a.b.c"):
        status, answer = exchange(program, rule, token)
        assert (status, answer["error"]) == (400, "invalid_grant")


@pytest.fixture
def live(administrator: Any, account: Any) -> Iterator[tuple[TokenIssuer, Any]]:
    """An issuer that is found by discovery, on loopback as this server is."""
    from keystead.server.keys.models import KeySource

    with running_issuer() as platform:
        issuer = trust(administrator, platform, key_source=KeySource.DISCOVERY, jwks=None)
        yield platform, accept(administrator, issuer, account)


def test_keys_are_fetched_once_kept_and_fetched_anew_when_one_is_added(
    program: Any, live: tuple[TokenIssuer, Any], clock: Any
) -> None:
    from django.core.cache import cache

    platform, rule = live
    for number in range(3):
        assert exchange(program, rule, platform.token(now=clock.now(), jti=str(number)))[0] == 200
    assert platform.asked == ["/.well-known/openid-configuration", "/jwks"]
    platform.add_key()
    assert exchange(program, rule, platform.token(now=clock.now()))[1]["error"] == "invalid_grant", "asked a moment ago"
    cache.delete_many([key for key in _cached() if key.endswith(":asked")])
    assert exchange(program, rule, platform.token(now=clock.now()))[0] == 200
    assert len(platform.asked) == 4


def test_many_at_once_ask_an_issuer_for_its_keys_once(program: Any, live: tuple[TokenIssuer, Any], clock: Any) -> None:
    platform, rule = live
    waiting = [platform.token(now=clock.now(), jti=str(number)) for number in range(THREADS)]

    def act(client: Any) -> int:
        body = {"grant_type": GRANT, "assertion": waiting.pop(), "organization_id": str(rule.organization_id)}
        return int(client.post("/v1/oauth/token", body, content_type="application/json").status_code)

    assert together(act) == [200] * THREADS
    assert platform.asked == ["/.well-known/openid-configuration", "/jwks"]


def _cached() -> list[str]:
    from keystead.server.keys.models import FederationIssuer

    return [f"issuer-keys:{issuer.id.hex}:asked" for issuer in FederationIssuer.objects.all()]


def test_an_outage_of_the_issuer_is_bridged_for_hours_and_not_longer(
    program: Any, live: tuple[TokenIssuer, Any], clock: Any
) -> None:
    from django.core.cache import cache

    platform, rule = live
    assert exchange(program, rule, platform.token(now=clock.now()))[0] == 200
    assert platform.server is not None
    platform.server.answers = {"*": (503, "text/plain", "down")}
    for later, expected in ((3_600, 200), (14_400, 200), (7_200, 503)):
        clock.sleep(later)
        cache.delete_many(_cached())
        status, answer = exchange(program, rule, platform.token(now=clock.now()))
        assert status == expected, answer
    assert answer["error"] == "temporarily_unavailable"


def test_an_issuer_on_a_network_that_is_not_allowed_is_not_asked(
    administrator: Any, program: Any, account: Any, clock: Any
) -> None:
    from django.test import override_settings

    from keystead.server.authorization.surroundings import server
    from keystead.server.keys.models import KeySource

    public = replace(server(), public_url="https://keys.example.com")
    with running_issuer() as platform, override_settings(KEYSTEAD=public):
        issuer = trust(administrator, platform, key_source=KeySource.DISCOVERY, jwks=None)
        rule = accept(administrator, issuer, account)
        status, answer = exchange(program, rule, platform.token(now=clock.now()))
        assert (status, answer["error"]) == (503, "temporarily_unavailable")
        assert platform.asked == []


@pytest.mark.parametrize(
    "document",
    ["x", "[]", {"issuer": "https://other.example", "jwks_uri": "https://other.example/keys"}, {"issuer": None}],
)
def test_a_discovery_document_about_somebody_else_is_not_believed(
    program: Any, live: tuple[TokenIssuer, Any], clock: Any, document: Any
) -> None:
    platform, rule = live
    assert platform.server is not None
    platform.server.answers = {"*": (200, "application/json", document)}
    assert exchange(program, rule, platform.token(now=clock.now()))[0] == 503
