"""Tokens that are bound to a key (DPoP, RFC 9449) at the token endpoint and at userinfo."""

from typing import Any
from urllib.parse import urlencode

import pytest
from proofs import Signer, token_hash

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ORIGIN = "http://127.0.0.1:8420"
SIGNER = Signer()


class Signed:
    """A program that signs its requests with a key, with the nonce it was told last."""

    def __init__(self, program: Any, clock: Any, signer: Signer = SIGNER) -> None:
        self.program, self.clock, self.signer = program, clock, signer
        self.nonce: str | None = None

    def proof(self, method: str, path: str, **claims: Any) -> str:
        return self.signer.proof(method, ORIGIN + path, self.clock.now(), **{"nonce": self.nonce, **claims})

    def post(self, path: str, proof: str | None = None, **form: str) -> tuple[int, dict[str, Any]]:
        header = {"DPoP": proof or self.proof("POST", path)}
        body = urlencode(form)
        kind = "application/x-www-form-urlencoded"
        response = self.program.web.post(path, body, content_type=kind, headers=header)
        self.nonce = response["dpop-nonce"]
        return response.status_code, response.json()

    def userinfo(self, token: str, scheme: str = "DPoP", **claims: Any) -> Any:
        proof = self.proof("GET", "/oauth/userinfo", **{"ath": token_hash(token), **claims})
        header = {"authorization": f"{scheme} {token}", "DPoP": proof}
        return self.program.web.get("/oauth/userinfo", headers=header)


@pytest.fixture
def signed(program: Any, clock: Any) -> Signed:
    return Signed(program, clock)


@pytest.fixture
def device_code(program: Any, administrator: Any) -> str:
    """A device that was approved."""
    from keystead.server.authorization import device_codes
    from keystead.server.authorization.surroundings import now

    started = program.post("/oauth/device_authorization")[1]
    waiting = device_codes.waiting(started["user_code"], now())
    assert waiting is not None
    assert device_codes.decide(waiting, device_codes.Answer(True, administrator), now())
    return str(started["device_code"])


@pytest.fixture
def tokens(signed: Signed, device_code: str) -> dict[str, Any]:
    """The tokens of a sign-in that is bound to the key."""
    assert signed.post("/oauth/token", grant_type=DEVICE, device_code=device_code)[1]["error"] == "use_dpop_nonce"
    status, answer = signed.post("/oauth/token", grant_type=DEVICE, device_code=device_code)
    assert (status, answer["token_type"]) == (200, "DPoP")
    return answer


@pytest.mark.requirement("rfc9449 8")
def test_the_first_request_is_told_what_to_sign(signed: Signed, device_code: str) -> None:
    status, answer = signed.post("/oauth/token", grant_type=DEVICE, device_code=device_code)
    assert (status, answer["error"]) == (400, "use_dpop_nonce")
    assert signed.nonce
    assert signed.post("/oauth/token", grant_type=DEVICE, device_code=device_code)[0] == 200


@pytest.mark.requirement("rfc9449 5", "rfc9449 6.1")
def test_the_access_token_names_the_key(tokens: dict[str, Any], clock: Any) -> None:
    from keystead.server.authorization import access_tokens

    claims = access_tokens.verify(tokens["access_token"], clock.now())
    assert claims is not None
    assert claims.key_thumbprint == SIGNER.thumbprint


@pytest.mark.requirement("rfc9449 5 refresh tokens")
def test_a_public_client_s_refresh_token_needs_the_key(signed: Signed, tokens: dict[str, Any], clock: Any) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    for status, answer in (signed.program.token(**form), Signed(signed.program, clock, Signer()).post("/oauth/token")):
        assert (status, answer["error"]) in {(400, "invalid_dpop_proof"), (400, "use_dpop_nonce")}
    thief = Signed(signed.program, clock, Signer())
    thief.nonce = signed.nonce
    assert thief.post("/oauth/token", **form)[1]["error"] == "invalid_dpop_proof"
    status, answer = signed.post("/oauth/token", **form)
    assert (status, answer["token_type"]) == (200, "DPoP"), "what the thief tried has changed nothing"


def test_a_sign_in_may_be_bound_later_and_stays_so(signed: Signed, program: Any, device_code: str) -> None:
    plain = program.token(grant_type=DEVICE, device_code=device_code)[1]
    assert plain["token_type"] == "Bearer"
    signed.post("/oauth/token")
    form = {"grant_type": "refresh_token", "refresh_token": plain["refresh_token"]}
    bound = signed.post("/oauth/token", **form)[1]
    assert bound["token_type"] == "DPoP"
    status, answer = program.token(grant_type="refresh_token", refresh_token=bound["refresh_token"])
    assert (status, answer["error"]) == (400, "invalid_dpop_proof")


@pytest.mark.requirement("rfc9449 11.1")
def test_a_proof_is_used_once_at_the_token_endpoint(signed: Signed, tokens: dict[str, Any]) -> None:
    proof = signed.proof("POST", "/oauth/token")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert signed.post("/oauth/token", proof, **form)[0] == 200
    status, answer = signed.post("/oauth/token", proof, **form)
    assert (status, answer["error"]) == (400, "invalid_dpop_proof")
    assert "used before" in answer["error_description"]


@pytest.mark.requirement("rfc9449 5.2")
def test_a_client_may_be_held_to_it(signed: Signed, program: Any, device_code: str) -> None:
    from keystead.server.authorization.models import Client

    Client.objects.filter(client_id="gateway-agent").update(dpop_bound=True)
    status, answer = program.token(grant_type=DEVICE, device_code=device_code)
    assert (status, answer["error"]) == (400, "invalid_dpop_proof")
    signed.post("/oauth/token")
    assert signed.post("/oauth/token", grant_type=DEVICE, device_code=device_code)[0] == 200, "the code is not used up"


@pytest.mark.requirement("rfc9449 7.1", "rfc9449 7.2")
def test_userinfo_wants_the_proof_and_the_scheme(signed: Signed, tokens: dict[str, Any]) -> None:
    token = tokens["access_token"]
    assert signed.userinfo(token).json()["email"] == "ada@example.com"
    for odd in ({"ath": None}, {"ath": token_hash("other")}, {"nonce": None}, {"htm": "POST"}, {"htu": ORIGIN + "/x"}):
        refused = signed.userinfo(token, **odd)
        assert refused.status_code == 401, odd
        assert refused.json()["error"] in {"invalid_dpop_proof", "use_dpop_nonce"}
        assert f'DPoP realm="keystead", error="{refused.json()["error"]}"' in refused["www-authenticate"]
        assert refused["dpop-nonce"]
    assert signed.userinfo(token, "Bearer").json()["error"] == "invalid_token"
    plain = signed.program.web.get("/oauth/userinfo", headers={"authorization": f"DPoP {token}"})
    assert (plain.status_code, plain.json()["error"]) == (401, "invalid_token")
    signed.signer = Signer()
    assert signed.userinfo(token).json()["error"] == "invalid_token"


@pytest.mark.requirement("rfc9449 7.2")
def test_a_bearer_token_may_not_pose_as_a_bound_one(signed: Signed, program: Any, device_code: str) -> None:
    token = program.token(grant_type=DEVICE, device_code=device_code)[1]["access_token"]
    signed.post("/oauth/token")
    assert signed.userinfo(token).json()["error"] == "invalid_token"


@pytest.mark.requirement("rfc9449 5.1", "rfc9728 5.1")
def test_the_documents_and_challenges_name_what_is_supported(program: Any, database: object) -> None:
    document = program.web.get("/.well-known/oauth-authorization-server").json()
    assert "ES256" in document["dpop_signing_alg_values_supported"]
    assert "none" not in document["dpop_signing_alg_values_supported"]
    challenge = program.web.get("/oauth/userinfo")["www-authenticate"]
    assert f'resource_metadata="{ORIGIN}/.well-known/oauth-protected-resource"' in challenge
    assert 'Bearer realm="keystead"' in challenge
    assert 'algs="ES256' in challenge
