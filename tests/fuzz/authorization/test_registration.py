"""The registration endpoint with whatever can be sent to it: a client, or a protocol error, never a 500."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

PUBLIC = ECKey.generate_key("P-256").as_dict(private=False)
CALLBACK = "https://app.example.com/cb"
SOUND = {"redirect_uris": [CALLBACK], "client_name": "Editor", "scope": "openid"}
ODD = st.sampled_from(
    ["\0", "\ud800", "\u202e", "http://127.0.0.1/cb", "http://localhost", "https://[", CALLBACK + "#"]
)
TEXTS = st.text(max_size=40) | ODD
NAMES = st.sampled_from(
    [
        *(
            "redirect_uris",
            "client_name",
            "scope",
            "grant_types",
            "response_types",
            "token_endpoint_auth_method",
            "jwks",
        ),
        *("jwks_uri", "software_statement", "dpop_bound_access_tokens", "require_pushed_authorization_requests", "x"),
        *("backchannel_logout_uri", "backchannel_logout_session_required"),
    ]
)
WORDS = st.sampled_from(
    [
        *("authorization_code", "refresh_token", "client_credentials", "code", "none", "private_key_jwt", "openid"),
        *("client_secret_post", "models:use", "a.b.c", "e30.e30.c2ln"),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | WORDS
KEY = st.dictionaries(st.sampled_from([*PUBLIC, "kid", "use", "alg", "n", "e", "d"]), LEAVES, max_size=3)
KEYS = st.fixed_dictionaries({"keys": st.lists(KEY.map(lambda odd: {**PUBLIC, **odd}) | LEAVES, max_size=2)})
VALUES = KEYS | st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)
METADATA = st.dictionaries(NAMES, VALUES, max_size=6)
CODES = {
    *("invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement"),
    *("unapproved_software_statement", "invalid_request"),
}
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def token(administrator: Any) -> Iterator[str]:
    """A token with which programs may register; nobody is kept waiting."""
    from django.conf import settings as django
    from django.test import override_settings

    from keystead.server.authorization import registration_tokens
    from keystead.server.authorization.surroundings import now

    grants = ("authorization_code", "refresh_token")
    policy = registration_tokens.Policy("fuzz", grants, "openid email", timedelta(days=1), 1000)
    with override_settings(KEYSTEAD=replace(django.KEYSTEAD, dynamic_registration=True)):
        yield registration_tokens.make(administrator, policy, now(), token_bytes)[1].reveal()


def send(web: Any, body: bytes, token: str, media_type: str = "application/json") -> Any:
    from django.core.cache import cache

    cache.clear()
    return web.post("/oauth/register", body, content_type=media_type, headers={"authorization": f"Bearer {token}"})


@given(metadata=METADATA, sound=st.booleans())
@FEW
def test_any_metadata_gives_a_modest_client_or_a_refusal(
    web: Any, token: str, metadata: dict[str, Any], sound: bool
) -> None:
    body = json.dumps({**SOUND, **metadata} if sound else metadata).encode()
    response = send(web, body, token)
    answer = response.json()
    if response.status_code != 201:
        assert response.status_code == 400
        assert answer["error"] in CODES
        assert answer["error_description"].isascii()
        return
    assert set(answer["scope"].split()) <= {"openid", "email"}
    assert set(answer["grant_types"]) <= {"authorization_code", "refresh_token"}
    assert all(uri.startswith(("https://", "http://127.0.0.1")) for uri in answer["redirect_uris"])


@given(
    body=st.binary(max_size=300), media_type=st.sampled_from(["application/json", "text/html", "multipart/form-data"])
)
@FEW
def test_noise_is_refused(web: Any, token: str, body: bytes, media_type: str) -> None:
    response = send(web, body, token, media_type)
    assert response.status_code == 400
    assert response.json()["error"] in CODES


@given(shown=st.text(max_size=120))
@FEW
def test_noise_in_place_of_a_token_is_refused(web: Any, token: str, shown: str) -> None:
    header = shown.encode("utf-8", "replace").decode("latin-1")
    response = send(web, json.dumps(SOUND).encode(), header)
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_token"
