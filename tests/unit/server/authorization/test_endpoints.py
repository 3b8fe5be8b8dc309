"""The endpoints that programs call: what they say about themselves, what they read, and how they refuse."""

import json
from typing import Any

import pytest

FORM = "application/x-www-form-urlencoded"
ORIGIN = "http://127.0.0.1:8420"
POSTED = ["/oauth/token", "/oauth/device_authorization", "/oauth/revoke", "/oauth/introspect", "/v1/oauth/token"]


@pytest.mark.requirement("rfc8414 3.3", "gateway metadata")
def test_the_metadata_is_what_the_gateway_protocol_asks_for(program: Any) -> None:
    response = program.web.get("/.well-known/oauth-authorization-server")
    document = response.json()
    assert response["content-type"] == "application/json"
    assert document["issuer"] == ORIGIN
    addresses = {name: value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(addresses) == 8
    assert all(value.startswith(ORIGIN + "/oauth/") for value in addresses.values())
    assert document["gateway_protocol_version"] == 1
    for endpoint in ("token", "revocation"):
        methods = document[f"{endpoint}_endpoint_auth_methods_supported"]
        assert methods == ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert set(document["grant_types_supported"]) == {
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    }


@pytest.mark.requirement("rfc8414 2")
def test_the_metadata_passes_another_library_s_validation() -> None:
    from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

    from keystead.server.authorization.metadata import document

    checked: Any = AuthorizationServerMetadata(document("https://keys.example.com"))
    checked.validate()
    assert checked.issuer == "https://keys.example.com"


def test_our_own_client_understands_the_metadata(program: Any) -> None:
    from keystead.wire import oauth

    body = program.web.get("/.well-known/oauth-authorization-server").content
    read = oauth.parse_metadata(body)
    assert (read.issuer, read.gateway_protocol_version, read.iss_parameter_supported) == (ORIGIN, 1, True)
    assert set(read.endpoints) < {name for name in json.loads(body) if name.endswith(("_endpoint", "_uri"))}


def test_every_endpoint_in_the_metadata_answers(program: Any) -> None:
    for name, address in program.web.get("/.well-known/oauth-authorization-server").json().items():
        if name.endswith(("_endpoint", "_uri")):
            assert program.web.get(address.removeprefix(ORIGIN)).status_code in {200, 400, 401, 405}, name


def test_the_keys_are_published_without_their_private_half(program: Any) -> None:
    (key,) = program.web.get("/oauth/jwks").json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (key["crv"], key["alg"], key["use"]) == ("P-256", "ES256", "sig")


@pytest.mark.requirement("rfc6749 5.1")
@pytest.mark.parametrize("path", POSTED)
def test_answers_may_not_be_kept(program: Any, path: str) -> None:
    for response in (program.web.post(path, "", content_type=FORM), program.web.get(path)):
        assert response["cache-control"] == "no-store"
        assert response["content-type"] == "application/json"


@pytest.mark.requirement("rfc6749 3.2")
@pytest.mark.parametrize("path", POSTED)
def test_only_post_is_taken(program: Any, path: str) -> None:
    for method in ("get", "put", "delete", "patch"):
        response = getattr(program.web, method)(path)
        assert (response.status_code, response["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "media_type",
    [FORM, f"{FORM}; charset=utf-8", "Application/X-WWW-Form-UrlEncoded", "application/json;charset=UTF-8"],
)
def test_form_and_json_are_read_whatever_the_parameters_of_the_media_type(program: Any, media_type: str) -> None:
    body = '{"client_id": "keystead-cli"}' if "json" in media_type else "client_id=keystead-cli"
    assert program.web.post("/oauth/device_authorization", body, content_type=media_type).status_code == 200


@pytest.mark.requirement("rfc6749 3.1 duplicates")
@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        (FORM, b"client_id=a&client_id=b", 400),
        (FORM, b"client_id=%ff", 400),
        (FORM, b"client_id=\xff", 400),
        (FORM, b"client_id=a%00b", 400),
        (FORM, b"client_id=a%0d%0ab", 400),
        (FORM, b"client_id=" + b"x" * 9000, 400),
        (FORM, b"a=" + b"x" * 40_000, 413),
        (FORM, b"&".join(b"p%d=1" % number for number in range(100)), 400),
        ("application/json", b"{", 400),
        ("application/json", b"[]", 400),
        ("application/json", b"null", 400),
        ("application/json", b'"text"', 400),
        ("application/json", b'{"client_id": "a", "client_id": "b"}', 400),
        ("application/json", b'{"client_id": 5}', 400),
        ("application/json", b'{"client_id": {"a": 1}}', 400),
        ("application/json", b'{"client_id": "\\ud800"}', 400),
        ("application/json", b"[" * 20_000, 400),
        ("application/json", b'{"a":' * 5_000, 400),
        ("application/json", b'{"client_id": ' + b"9" * 10_000 + b"}", 400),
        ("text/plain", b"client_id=a", 400),
        ("multipart/form-data; boundary=x", b"--x--", 400),
        ("", b"client_id=a", 400),
    ],
)
def test_a_malformed_body_is_a_protocol_error(
    program: Any, path: str, media_type: str, body: bytes, status: int
) -> None:
    response = program.web.post(path, body, content_type=media_type)
    assert (response.status_code, response.json()["error"]) == (status, "invalid_request")


@pytest.mark.requirement("rfc6749 5.2")
@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": "AUTHORIZATION_CODE"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x", "client_id": "nobody"}, "invalid_client"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "invalid_request"),
    ],
)
def test_the_token_endpoint_names_what_is_wrong(program: Any, form: dict[str, str], error: str) -> None:
    status, answer = program.token(**form)
    assert (status, answer["error"]) == (400, error)


@pytest.mark.requirement("rfc6749 3.1 empty")
def test_a_parameter_without_a_value_counts_as_left_out(program: Any) -> None:
    assert program.post("/oauth/device_authorization", client_id="", scope="")[0] == 200


def test_unknown_scopes_are_passed_over_and_the_answer_says_so(program: Any) -> None:
    assert program.post("/oauth/device_authorization", scope="models:use something:else")[0] == 200
    status, answer = program.post("/oauth/device_authorization", scope="something:else")
    assert (status, answer["error"]) == (400, "invalid_scope")


def test_an_address_may_not_ask_for_codes_without_end(program: Any, database: object) -> None:
    from django.core.cache import cache

    from keystead.server.authorization.checks import attempts

    for _ in range(attempts.CODES_PER_ADDRESS.count):
        attempts.count(attempts.CODES_PER_ADDRESS, "127.0.0.1")
    response = program.web.post("/oauth/device_authorization", "", content_type=FORM)
    assert response.status_code == 429
    assert int(response["retry-after"]) > 0
    cache.clear()


def test_whoever_has_a_network_of_ipv6_has_one_limit(program: Any) -> None:
    from keystead.server.authorization.checks import attempts

    def asked(address: str) -> int:
        form = "client_id=keystead-cli"
        response = program.web.post("/oauth/device_authorization", form, content_type=FORM, REMOTE_ADDR=address)
        return int(response.status_code)

    for number in range(attempts.CODES_PER_ADDRESS.count):
        assert asked(f"2001:db8::{number:x}:1") == 200
    assert asked("2001:db8::ffff:ffff:ffff:ffff") == 429
    assert asked("2001:db8:0:1::1") == 200


@pytest.mark.requirement("rfc7009 2.2")
@pytest.mark.parametrize("token", ["nonsense", "ksr_" + "0" * 49, "a.b.c", "x" * 5000])
def test_revoking_what_is_unknown_is_no_error(program: Any, token: str) -> None:
    assert program.post("/oauth/revoke", token=token) == (200, {})
    assert program.post("/oauth/revoke", token=token, token_type_hint="made_up") == (200, {})


def test_revoking_nothing_is_an_error(program: Any) -> None:
    status, answer = program.post("/oauth/revoke")
    assert (status, answer["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("authorization", ["", "Basic YTpi", "Bearer", "Bearer ", "Bearer x", "bearer a.b.c"])
def test_userinfo_answers_only_to_an_access_token(program: Any, authorization: str) -> None:
    headers = {"authorization": authorization} if authorization else None
    response = program.web.get("/oauth/userinfo", headers=headers)
    assert response.status_code == 401
    assert response["www-authenticate"].startswith("Bearer ")
