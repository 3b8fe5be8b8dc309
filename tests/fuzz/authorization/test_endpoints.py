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


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/device_authorization", "/oauth/revoke", "/oauth/introspect"])
@given(pairs=PAIRS, noise=st.none() | st.binary(max_size=200), media_type=TYPES)
@FEW
def test_programs_get_json(
    web: Any, path: str, pairs: list[tuple[str, str]], noise: bytes | None, media_type: str
) -> None:
    body = urlencode(pairs, errors="surrogatepass").encode() if noise is None else noise
    response = web.post(path, body, content_type=media_type)
    assert response.status_code in {200, 400, 401, 413, 429}
    assert response.status_code == 200 or response.json()["error"]


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


@given(bearer=st.text(max_size=200))
@FEW
def test_userinfo_refuses_noise(web: Any, bearer: str) -> None:
    header = f"Bearer {bearer}".encode("utf-8", "replace").decode("latin-1")
    assert web.get("/oauth/userinfo", HTTP_AUTHORIZATION=header).status_code == 401
