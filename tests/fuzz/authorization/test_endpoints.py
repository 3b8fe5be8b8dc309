"""Every endpoint with whatever can be sent to it: a protocol error or an answer, never a 500."""

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
NAMES = st.sampled_from(
    [
        *("grant_type", "code", "redirect_uri", "client_id", "code_verifier", "code_challenge", "state", "scope"),
        *("code_challenge_method", "refresh_token", "device_code", "response_type", "response_mode", "token"),
        *("token_type_hint", "user_code", "decision", "nonce", "x"),
        *("prompt", "max_age", "login_hint", "dpop_jkt", "resource", "request", "request_uri", "registration"),
        *("client_secret", "client_assertion", "client_assertion_type"),
    ]
)
VALUES = st.text(max_size=80) | st.sampled_from(
    [
        *("authorization_code", "refresh_token", DEVICE, "keystead-cli", "gateway-agent", "code", "S256", "openid"),
        *("http://127.0.0.1:1/callback", "ksr_" + "0" * 49, "A" * 43, "BCDF-GHJK", "approve", "a.b.c"),
    ]
)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=10)
TYPES = st.sampled_from(["application/x-www-form-urlencoded", "application/json", "text/html", "multipart/form-data"])
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


POSTED = ["/oauth/token", "/oauth/device_authorization", "/oauth/revoke", "/oauth/introspect", "/oauth/par"]
ASKED = {
    "response_type": "code",
    "client_id": "keystead-cli",
    "redirect_uri": "http://127.0.0.1:1/callback",
    "code_challenge": "A" * 43,
    "code_challenge_method": "S256",
}


@pytest.mark.parametrize("path", POSTED)
@given(pairs=PAIRS, noise=st.none() | st.binary(max_size=200), media_type=TYPES)
@FEW
def test_programs_get_json(
    web: Any, path: str, pairs: list[tuple[str, str]], noise: bytes | None, media_type: str
) -> None:
    body = urlencode(pairs, errors="surrogatepass").encode() if noise is None else noise
    response = web.post(path, body, content_type=media_type)
    assert response.status_code in {200, 201, 400, 401, 413, 429}
    assert response.status_code in {200, 201} or response.json()["error"]


@pytest.mark.parametrize("path", ["/oauth/authorize", "/device"])
@given(pairs=PAIRS)
@FEW
def test_people_get_a_page_or_are_sent_on(
    administrator: Any, web: Any, path: str, pairs: list[tuple[str, str]]
) -> None:
    web.force_login(administrator.person)
    query = urlencode(pairs, errors="surrogatepass")
    assert web.get(f"{path}?{query}").status_code < 500
    ours = {"origin": "http://127.0.0.1"}
    response = web.post(f"{path}?{query}", query, content_type="application/x-www-form-urlencoded", headers=ours)
    assert response.status_code < 500


@given(pairs=PAIRS)
@FEW
def test_a_sound_request_with_odd_additions_is_answered(
    administrator: Any, web: Any, pairs: list[tuple[str, str]]
) -> None:
    web.force_login(administrator.person)
    query = urlencode({**ASKED, **dict(pairs)}, errors="surrogatepass")
    assert web.get(f"/oauth/authorize?{query}").status_code < 500
    pushed = web.post("/oauth/par", query, content_type="application/x-www-form-urlencoded")
    assert pushed.status_code in {201, 400, 401}


@given(bearer=st.text(max_size=200))
@FEW
def test_userinfo_refuses_noise(web: Any, bearer: str) -> None:
    header = f"Bearer {bearer}".encode("utf-8", "replace").decode("latin-1")
    assert web.get("/oauth/userinfo", HTTP_AUTHORIZATION=header).status_code == 401


@given(proof=st.text(max_size=200) | st.sampled_from(["e30.e30.e30", "a.b.c", "a.b.c, a.b.c", "." * 5000]))
@FEW
def test_a_proof_that_is_none_is_a_protocol_error(web: Any, proof: str) -> None:
    header = proof.encode("utf-8", "replace").decode("latin-1")
    response = web.post("/oauth/token", "", content_type="application/x-www-form-urlencoded", HTTP_DPOP=header)
    assert (response.status_code, response.json()["error"]) in {(400, "invalid_dpop_proof"), (400, "invalid_request")}
    assert response["dpop-nonce"]
