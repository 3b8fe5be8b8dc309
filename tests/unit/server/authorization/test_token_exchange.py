"""A token for a narrower one: who may act for whom, and that nothing grows on the way (RFC 8693, RFC 7662)."""

import json
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any
from urllib.parse import urlencode

import pytest
from issuers import TokenIssuer
from proofs import Signer

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPES = "urn:ietf:params:oauth:token-type:"
ACCESS = f"{TYPES}access_token"
ORIGIN = "http://127.0.0.1:8420"


@dataclass
class Story:
    """A person who is signed in, and a program of the organization's own that may act for them."""

    administrator: Any
    program: Any
    clock: Any
    client: Any
    proof: dict[str, str]

    def sign_in(self, scope: str = "openid profile models:use", key: str = "") -> tuple[str, Any]:
        from keystead.server.authorization import access_tokens, clients, sign_ins
        from keystead.server.authorization.surroundings import now
        from keystead.server.identifiers import new_id

        client = clients.find("keystead-cli")
        redeemed = sign_ins.begin(sign_ins.Approval(client, self.administrator, scope), "laptop", now())
        return access_tokens.sign(redeemed.grant, scope, new_id(), now(), key)[0], redeemed

    def exchange(self, token: str, kind: str = ACCESS, **more: str) -> tuple[int, dict[str, Any]]:
        asked = {"subject_token": token, "subject_token_type": kind, **self.proof, **more}
        answer: tuple[int, dict[str, Any]] = self.program.token(grant_type=GRANT, **asked)
        return answer

    def exchange_signed(self, signer: Signer, token: str, **more: str) -> tuple[int, dict[str, Any]]:
        """Exchange with a proof by the signer's key, as the server's own nonce wants it."""
        from keystead.server.authorization.checks import binding

        url = f"{ORIGIN}/oauth/token"
        proof = signer.proof("POST", url, self.clock.now(), nonce=binding.nonces().current(self.clock.now()))
        asked = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ACCESS, **self.proof, **more}
        kind = "application/x-www-form-urlencoded"
        response = self.program.web.post("/oauth/token", urlencode(asked), content_type=kind, headers={"DPoP": proof})
        return response.status_code, response.json()

    def introspect(self, token: str, **proof: str) -> dict[str, Any]:
        status, answer = self.program.post("/oauth/introspect", token=token, **(proof or self.proof))
        assert status == 200, answer
        return dict(answer)


def registered(administrator: Any, **more: Any) -> tuple[Any, dict[str, str]]:
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.authorization.surroundings import now

    usual: dict[str, Any] = {
        "name": "Agent host",
        "auth_method": AuthMethod.CLIENT_SECRET_POST,
        "grant_types": [GRANT],
        "scope": "openid models:use",
        "first_party": True,
        "may_act_for": ["keystead-cli"],
    }
    client, secret = registry.register(administrator, registry.Registration(**{**usual, **more}), now(), token_bytes)
    assert secret is not None
    return client, {"client_id": client.client_id, "client_secret": secret.reveal()}


@pytest.fixture
def story(administrator: Any, program: Any, clock: Any) -> Story:
    client, proof = registered(administrator)
    return Story(administrator, program, clock, client, proof)


@pytest.mark.requirement("rfc8693 2.1", "rfc8693 2.2.1", "rfc8693 4.1", "rfc8693 5")
def test_a_program_acts_for_a_person_with_less_than_they_have(story: Story) -> None:
    token, _ = story.sign_in()
    story.clock.sleep(600)
    status, answer = story.exchange(token)
    assert status == 200, answer
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope", "issued_token_type"}
    assert (answer["issued_token_type"], answer["scope"]) == (ACCESS, "openid models:use"), (
        "profile is not the client's"
    )
    assert answer["expires_in"] == 3000, "what is left of the subject"
    told = story.introspect(answer["access_token"])
    assert told["act"] == {"sub": story.client.client_id}
    assert told["client_id"] == story.client.client_id
    assert told["sub"] == f"per_{story.administrator.person_id.hex}"
    narrow = story.exchange(token, scope="openid", expires_in="60")[1]
    assert (narrow["scope"], narrow["expires_in"]) == ("openid", 60)
    assert story.exchange(narrow["access_token"], scope="models:use")[1]["error"] == "invalid_scope"


def test_who_acted_before_stays_in_the_token_and_not_without_end(story: Story) -> None:
    token, _ = story.sign_in()
    for _ in range(4):
        status, answer = story.exchange(token)
        assert status == 200
        token = answer["access_token"]
    one = {"sub": story.client.client_id}
    assert story.introspect(token)["act"] == {**one, "act": {**one, "act": {**one, "act": one}}}
    assert story.exchange(token)[1]["error"] == "invalid_request"


def test_ending_the_sign_in_ends_all_that_came_of_it(story: Story) -> None:
    from keystead.server.authorization import operations, sign_ins
    from keystead.server.authorization.surroundings import now

    token, redeemed = story.sign_in()
    child = story.exchange(token)[1]["access_token"]
    grandchild = story.exchange(child)[1]["access_token"]
    assert story.introspect(grandchild)["active"]
    sign_ins.end(redeemed.grant, "system", "test", now())
    assert [story.introspect(one) for one in (token, child, grandchild)] == [{"active": False}] * 3
    assert len(operations.revoked_grants(story.clock.now())) == 3, "the gateway is told of each"
    assert story.exchange(token)[1]["error"] == "invalid_request"


def test_the_program_ends_its_own_token_and_not_the_person_s(story: Story) -> None:
    token, _ = story.sign_in()
    child = story.exchange(token)[1]["access_token"]
    assert story.program.post("/oauth/revoke", token=token, **story.proof)[0] == 200
    assert story.program.post("/oauth/revoke", token=child, **story.proof)[0] == 200
    assert not story.introspect(child)["active"]
    assert story.introspect(token)["active"]


@pytest.mark.requirement("rfc8693 2.2.2")
@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"subject_token": "x"}, "invalid_request"),
        ({"subject_token": ""}, "invalid_request"),
        ({"subject_token_type": ""}, "invalid_request"),
        ({"subject_token_type": f"{TYPES}refresh_token"}, "invalid_request"),
        ({"subject_token_type": f"{TYPES}saml2"}, "invalid_request"),
        ({"requested_token_type": f"{TYPES}refresh_token"}, "invalid_request"),
        ({"audience": "https://elsewhere.example"}, "invalid_target"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"expires_in": "0"}, "invalid_request"),
        ({"expires_in": "-5"}, "invalid_request"),
        ({"expires_in": "\u0663"}, "invalid_request"),
        ({"expires_in": "9" * 30}, "invalid_request"),
        ({"scope": "email"}, "invalid_scope"),
    ],
)
def test_what_is_not_acceptable_is_named_as_the_rfc_has_it(story: Story, more: dict[str, str], error: str) -> None:
    token, _ = story.sign_in()
    status, answer = story.exchange(token, **more)
    assert (status, answer["error"]) == (400, error)


@pytest.mark.requirement("rfc8693 4.4")
def test_only_a_client_that_may_act_for_those_people_does(story: Story, administrator: Any) -> None:
    token, _ = story.sign_in()
    assert story.program.token(grant_type=GRANT, subject_token=token, subject_token_type=ACCESS)[0] == 401
    asked = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ACCESS}
    assert story.program.token(client_id="keystead-cli", **asked)[0] == 401
    _, nobody_s = registered(administrator, may_act_for=[])
    assert story.program.token(**asked, **nobody_s)[1]["error"] == "invalid_request"
    _, other = registered(administrator, grant_types=["refresh_token"], may_act_for=[])
    assert story.program.token(**asked, **other)[1]["error"] == "invalid_request"


def test_another_organization_s_program_may_not(story: Story) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("eve@example.com", None, created_at=now())
    stranger = organizations.add_member(organizations.create_organization("Other", now()), person, Role.ADMIN, now())
    _, proof = registered(stranger)
    token, _ = story.sign_in()
    asked = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ACCESS}
    assert story.program.token(**asked, **proof)[1]["error"] == "invalid_request"
    assert story.introspect(token, **proof) == {"active": False}


@pytest.mark.requirement("rfc8693 2.1 actor")
def test_an_actor_token_is_the_client_s_own(story: Story) -> None:
    token, _ = story.sign_in()
    assert story.exchange(token, actor_token_type=ACCESS)[1]["error"] == "invalid_request"
    assert story.exchange(token, actor_token=token)[1]["error"] == "invalid_request"
    assert story.exchange(token, actor_token=token, actor_token_type=ACCESS)[1]["error"] == "invalid_request"
    own = story.exchange(token)[1]["access_token"]
    status, answer = story.exchange(token, actor_token=own, actor_token_type=ACCESS)
    assert status == 200
    assert story.introspect(answer["access_token"])["act"] == {"sub": f"per_{story.administrator.person_id.hex}"}


@pytest.mark.parametrize("kind", ["jwt", "id_token"])
def test_an_identity_of_another_issuer_goes_by_the_same_rules(story: Story, kind: str) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import federation, service_accounts
    from keystead.server.keys.models import KeySource
    from keystead.server.policy.federation import parse_conditions

    platform = TokenIssuer("https://builds.example.com")
    wanted = federation.Issuer("builds", platform.url, "http://127.0.0.1:8420", KeySource.INLINE, jwks=platform.jwks)
    issuer = federation.create_issuer(story.administrator, wanted, now())
    account = service_accounts.create(story.administrator, "deploy", now=now())
    rule = federation.Rule("deploys", issuer, account, parse_conditions("repository = acme/app"), "models:use")
    federation.create_rule(story.administrator, rule, now())

    def ask(**claims: Any) -> tuple[int, dict[str, Any]]:
        return story.exchange(platform.token(now=story.clock.now(), **claims), TYPES + kind)

    status, answer = ask()
    assert status == 200, answer
    told = story.introspect(answer["access_token"])
    assert (told["sub"], told["act"]) == (account.wire_id, {"sub": story.client.client_id})
    assert ask()[1]["error"] == "invalid_request", "it works once"
    assert ask(jti="2", repository="evil/app")[1]["error"] == "invalid_request"
    assert ask(jti="3", may_act={"sub": "somebody"})[1]["error"] == "invalid_request"
    assert ask(jti="4", may_act="x")[1]["error"] == "invalid_request"
    assert ask(jti="5", may_act={"sub": story.client.client_id})[0] == 200


@pytest.mark.requirement("rfc7662 2.1", "rfc7662 2.2", "rfc7662 4")
def test_introspection_tells_those_who_may_know_and_nobody_else(story: Story, administrator: Any) -> None:
    token, redeemed = story.sign_in()
    told = story.introspect(token)
    assert set(told) == {"active", "token_type", "iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti"}
    for proof in ({}, {"client_id": "keystead-cli"}):
        assert story.program.post("/oauth/introspect", token=token, **proof)[0] == 401
    _, foreign = registered(
        administrator, first_party=False, scope="openid", grant_types=["refresh_token"], may_act_for=[]
    )
    for unknown in (token, redeemed.refresh_token, "x", "a.b.c", "ksr_" + "0" * 49):
        assert story.introspect(unknown, **foreign) == {"active": False}
    assert story.introspect(redeemed.refresh_token) == {"active": False}, "a refresh token is its own client's affair"
    story.clock.sleep(4000)
    assert story.introspect(token) == {"active": False}


def test_a_client_is_told_of_its_own_refresh_token(story: Story) -> None:
    from keystead.server.authorization import sign_ins
    from keystead.server.authorization.surroundings import now

    approval = sign_ins.Approval(story.client, story.administrator, "openid")
    redeemed = sign_ins.begin(approval, "host", now())
    assert redeemed.refresh_token is not None
    told = story.introspect(redeemed.refresh_token)
    assert (told["active"], told["client_id"], told["scope"]) == (True, story.client.client_id, "openid")
    sign_ins.end(redeemed.grant, "system", "test", now())
    assert story.introspect(redeemed.refresh_token) == {"active": False}


@pytest.mark.requirement("rfc9449 7 exchange")
def test_a_bound_subject_is_exchanged_with_a_proof_of_its_key_and_stays_bound(story: Story) -> None:
    from keystead.server.authorization import access_tokens
    from keystead.server.authorization.models import Grant

    holder = Signer()
    token, _ = story.sign_in(key=holder.thumbprint)
    before = Grant.objects.count()
    for status, answer in (story.exchange(token), story.exchange_signed(Signer(), token)):
        assert (status, answer["error"]) == (400, "invalid_dpop_proof")
        assert "subject_token is bound to" in answer["error_description"]
    assert Grant.objects.count() == before, "nothing began"
    status, answer = story.exchange_signed(holder, token)
    assert (status, answer["token_type"]) == (200, "DPoP"), answer
    claims = access_tokens.verify(answer["access_token"], story.clock.now())
    assert claims is not None
    assert claims.key_thumbprint == holder.thumbprint
    assert story.exchange(answer["access_token"])[1]["error"] == "invalid_dpop_proof", "nor is it shed at the next step"


@pytest.mark.requirement("rfc9449 7 exchange")
def test_a_bound_actor_token_needs_its_key_as_well(story: Story) -> None:
    holder = Signer()
    token, _ = story.sign_in()
    bound = story.exchange_signed(holder, token)[1]["access_token"]
    actor = {"actor_token": bound, "actor_token_type": ACCESS}
    for status, answer in (story.exchange(token, **actor), story.exchange_signed(Signer(), token, **actor)):
        assert (status, answer["error"]) == (400, "invalid_dpop_proof")
        assert "actor_token is bound to" in answer["error_description"]
    assert story.exchange_signed(holder, token, **actor)[0] == 200


def test_a_bearer_subject_may_become_a_bound_token(story: Story) -> None:
    token, _ = story.sign_in()
    assert story.exchange_signed(Signer(), token)[1]["token_type"] == "DPoP"


def test_json_does_as_well(story: Story) -> None:
    token, _ = story.sign_in()
    asked = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ACCESS, **story.proof}
    response = story.program.web.post("/oauth/token", json.dumps(asked), content_type="application/json; charset=utf-8")
    assert response.status_code == 200
