"""Who asks: every way a client proves it, at every endpoint, and every way that is no proof."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

FORM = "application/x-www-form-urlencoded"
ISSUER = "http://127.0.0.1:8420"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY = ECKey.generate_key("P-256", {"kid": "one"})
ENDPOINTS = ["/oauth/token", "/oauth/device_authorization", "/oauth/revoke"]


@dataclass
class Peer:
    """A registered client and what it knows."""

    client: Any
    secret: str
    web: Any
    now: datetime

    @property
    def client_id(self) -> str:
        return str(self.client.client_id)

    def post(self, path: str, header: str | None = None, **form: str) -> Any:
        headers = {} if header is None else {"authorization": header}
        return self.web.post(path, urlencode(form), content_type=FORM, headers=headers)

    def device(self, header: str | None = None, **form: str) -> Any:
        return self.post("/oauth/device_authorization", header, **form)

    def assertion(self, key: ECKey | RSAKey = KEY, alg: str = "ES256", **claims: Any) -> dict[str, str]:
        moment = int(self.now.timestamp())
        usual = {"iss": self.client_id, "sub": self.client_id, "aud": ISSUER, "exp": moment + 60, "jti": "one"}
        content = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        signed = jws.serialize_compact({"alg": alg, "kid": "one"}, json.dumps(content), key, [alg])
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{quote_plus(name)}:{quote_plus(secret)}".encode()).decode()


def registered(administrator: Any, program: Any, method: str, **more: Any) -> Peer:
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.authorization.surroundings import now

    wanted = registry.Registration("Portal", AuthMethod(method), [DEVICE, "refresh_token"], **more)
    client, secret = registry.register(administrator, wanted, now(), token_bytes)
    return Peer(client, secret.reveal() if secret else "", program.web, now())


@pytest.fixture
def peer(administrator: Any, program: Any) -> Peer:
    return registered(administrator, program, "client_secret_basic")


@pytest.fixture
def signer(administrator: Any, program: Any) -> Peer:
    jwks = {"keys": [{**KEY.as_dict(private=False), "kid": "one"}]}
    return registered(administrator, program, "private_key_jwt", jwks=jwks)


@pytest.mark.requirement("rfc6749 2.3.1")
def test_a_secret_is_taken_from_the_header_and_from_the_body(peer: Peer) -> None:
    assert peer.device(basic(peer.client_id, peer.secret)).status_code == 200
    assert peer.device(client_id=peer.client_id, client_secret=peer.secret).status_code == 200
    assert peer.device(basic(peer.client_id, peer.secret), client_id=peer.client_id).status_code == 200


@pytest.mark.requirement("rfc6749 3.2.1")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_confidential_client_is_never_taken_at_its_word(peer: Peer, path: str) -> None:
    response = peer.post(path, client_id=peer.client_id, grant_type="refresh_token", refresh_token="x", token="x")
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response["www-authenticate"].startswith("Basic realm=")


@pytest.mark.requirement("rfc6749 5.2 client")
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !",
        "Basic YQ==",
        "basic YTpi",
        "Basic OmI=",
        "Basic " + "A" * 9000,
        "Basic /////w==",
        "Basic JTAwOiUwMA==",
    ],
)
def test_a_malformed_header_is_refused_with_a_challenge(peer: Peer, path: str, header: str) -> None:
    response = peer.post(path, header, token="x", grant_type="refresh_token")
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response["www-authenticate"].startswith("Basic ")


def test_wrong_name_and_wrong_secret_are_not_told_apart(peer: Peer) -> None:
    wrong = peer.secret[:-1] + ("0" if peer.secret[-1] != "0" else "1")
    answers = {
        peer.device(header).content
        for header in (basic(peer.client_id, wrong), basic("nobody", peer.secret), basic(peer.client_id, ""))
    }
    assert len(answers) == 1


@pytest.mark.requirement("rfc6749 2.3")
def test_one_way_of_authenticating_at_a_time(peer: Peer) -> None:
    response = peer.device(basic(peer.client_id, peer.secret), client_id=peer.client_id, client_secret=peer.secret)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    other = peer.device(basic(peer.client_id, peer.secret), client_id="keystead-cli")
    assert (other.status_code, other.json()["error"]) == (400, "invalid_request")


def test_a_public_client_has_no_secret_to_show(peer: Peer) -> None:
    assert peer.device(basic("keystead-cli", peer.secret)).status_code == 401
    assert peer.device(basic("keystead-cli", "")).status_code == 401


@pytest.mark.requirement("rfc7523 2.2", "rfc7523 3")
def test_a_signed_assertion_works_once(signer: Peer) -> None:
    from keystead.server.authorization.models import SpentAssertion
    from keystead.server.authorization.sweep import sweep

    shown = signer.assertion()
    assert signer.device(**shown).status_code == 200
    again = signer.device(**shown)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert "used before" in again.json()["error_description"]
    assert SpentAssertion.objects.count() == 1
    assert sweep(signer.now + timedelta(hours=2))["spent_assertions"] == 1
    assert signer.device(**signer.assertion(jti="two"), client_id=signer.client_id).status_code == 200


@pytest.mark.requirement("rfc7523 3 claims")
@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "keystead-cli"},
        {"aud": "https://elsewhere.example"},
        {"aud": [ISSUER, "https://elsewhere.example"]},
        {"aud": None},
        {"exp": None},
        {"exp": 1},
        {"exp": 1e12},
        {"exp": "soon"},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"jti": None},
        {"jti": 7},
        {"jti": "\ud800"},
        {"sub": "\udfff"},
        {"anything": ["a", "a\0b"]},
    ],
)
def test_an_assertion_that_is_not_for_us_now_is_refused(signer: Peer, claims: dict[str, Any]) -> None:
    response = signer.device(**signer.assertion(**claims))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_an_assertion_may_not_live_longer_than_its_jti_is_remembered(signer: Peer) -> None:
    late = int((signer.now + timedelta(hours=2)).timestamp())
    assert signer.device(**signer.assertion(exp=late)).status_code == 401


@pytest.mark.requirement("rfc8725 3.1 clients")
def test_keys_and_algorithms_that_are_not_the_client_s_are_refused(signer: Peer) -> None:
    other, rsa = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
    assert signer.device(**signer.assertion(other)).status_code == 401
    assert signer.device(**signer.assertion(rsa, "RS256")).status_code == 401
    none = signer.assertion()["client_assertion"].split(".")
    none[0] = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for forged in (f"{none[0]}.{none[1]}.", ".".join(none)):
        shown = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": forged}
        assert signer.device(**shown).status_code == 401


@pytest.mark.parametrize("assertion", ["x", "a.b.c", "..", "e30.e30.", "x" * 8000])
def test_noise_as_an_assertion_is_refused(signer: Peer, assertion: str) -> None:
    shown = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    assert signer.device(**shown).status_code == 401
    assert signer.device(client_assertion=assertion).status_code == 400
    assert signer.device(client_assertion_type=ASSERTION_TYPE).status_code == 400


def test_a_client_that_signs_may_not_use_a_secret(signer: Peer, peer: Peer) -> None:
    assert signer.device(basic(signer.client_id, peer.secret)).status_code == 401
    assert peer.device(**peer.assertion()).status_code == 401


@pytest.mark.requirement("rfc6749 6 confidential")
def test_a_stolen_refresh_token_of_a_confidential_client_is_worth_nothing(
    peer: Peer, browser: Any, administrator: Any
) -> None:
    proof = basic(peer.client_id, peer.secret)
    codes = peer.device(proof).json()
    form = {"user_code": codes["user_code"], "decision": "approve"}
    assert browser.post("/device", form).status_code == 200
    ask = {"grant_type": DEVICE, "device_code": codes["device_code"]}
    assert peer.post("/oauth/token", **ask).json()["error"] == "invalid_grant", "nobody said who asks"
    tokens = peer.post("/oauth/token", proof, **ask).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert peer.post("/oauth/token", **refresh).status_code == 401
    assert peer.post("/oauth/revoke", token=tokens["refresh_token"]).status_code == 200
    assert peer.post("/oauth/token", proof, **refresh).status_code == 200, "the nameless revocation did nothing"
    assert peer.post("/oauth/revoke", proof, token=tokens["refresh_token"]).status_code == 200
    assert peer.post("/oauth/token", proof, **refresh).status_code == 401
