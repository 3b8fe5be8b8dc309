"""Programs that register themselves (RFC 7591): who may, what they get, and how they are refused."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes
from typing import Any

import pytest
import races
from joserfc.jwk import ECKey

ENDPOINT = "/oauth/register"
ORIGIN = "http://127.0.0.1:8420"
CALLBACK = "https://app.example.com/callback"
WELL_KNOWN = "/.well-known/oauth-authorization-server"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
PUBLIC = ECKey.generate_key("P-256").as_dict(private=False)


@pytest.fixture(autouse=True)
def switched_on(migrated: object) -> Iterator[None]:
    from django.conf import settings
    from django.test import override_settings

    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=True)):
        yield


def make(administrator: Any, **more: Any) -> tuple[Any, str]:
    """Return a new initial access token: its row, and the token."""
    from keystead.server.authorization import registration_tokens
    from keystead.server.authorization.surroundings import now

    usual = {"grant_types": ["authorization_code", "refresh_token"], "scope": "openid profile offline_access"}
    policy = registration_tokens.Policy(**{"name": "editors", "lifetime": timedelta(days=1), **usual, **more})
    token, secret = registration_tokens.make(administrator, policy, now(), token_bytes)
    return token, secret.reveal()


@pytest.fixture
def many(administrator: Any, clock: Any) -> str:
    """A token for a hundred programs that sign people in."""
    return make(administrator, max_uses=100)[1]


def register(web: Any, token: str | None, body: Any = None, **metadata: Any) -> Any:
    wanted = {"redirect_uris": [CALLBACK], "client_name": "Editor", **metadata} if body is None else body
    given = {name: value for name, value in wanted.items() if value is not ...} if isinstance(wanted, dict) else wanted
    content = given if isinstance(given, bytes) else json.dumps(given)
    head = {} if token is None else {"authorization": f"Bearer {token}"}
    return web.post(ENDPOINT, content, content_type="application/json", headers=head)


def fault(response: Any) -> tuple[int, str]:
    assert response["cache-control"] == "no-store"
    assert "client_secret" not in response.json()
    return response.status_code, response.json()["error"]


def clients() -> Any:
    from keystead.server.authorization.models import Client

    return Client.objects.exclude(organization=None)


@pytest.mark.requirement("rfc7591 2 defaults", "rfc7591 3.2.1", "rfc7591 3.2.1 no-store")
def test_the_answer_says_everything_that_was_given(administrator: Any, program: Any, many: str) -> None:
    response = register(program.web, many)
    assert (response.status_code, response["cache-control"]) == (201, "no-store")
    answer = response.json()
    (client,) = clients()
    secret, access = answer.pop("client_secret"), answer.pop("registration_access_token")
    assert (secret[:4], access[:4]) == ("ksx_", "ksm_")
    assert access.encode() not in bytes(client.registration_access_digest)
    assert answer == {
        "client_id": client.client_id,
        "registration_client_uri": f"{ORIGIN}{ENDPOINT}/{client.client_id}",
        "client_id_issued_at": int(client.created_at.timestamp()),
        "client_secret_expires_at": 0,
        "client_name": "Editor",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "openid profile offline_access",
        "require_pushed_authorization_requests": False,
        "dpop_bound_access_tokens": False,
        "id_token_signed_response_alg": "ES256",
    }
    assert (client.organization, client.first_party) == (administrator.organization, False)
    assert secret.encode() not in bytes(client.secrets.get().digest)
    pushed = {"client_id": client.client_id, "client_secret": secret, "response_type": "code", "redirect_uri": CALLBACK}
    challenge = {"code_challenge": "A" * 43, "code_challenge_method": "S256"}
    assert program.post("/oauth/par", **pushed, **challenge)[0] == 201


@pytest.mark.requirement("rfc7591 2 unknown", "rfc7591 3.2.1")
def test_what_means_nothing_here_is_ignored_and_what_is_too_much_left_out(program: Any, many: str) -> None:
    odd = {
        "software_id": "x",
        "logo_uri": "https://x.example/l.png",
        "client_name#de": "Schreiber",
        "made_up": {"a": [1]},
    }
    power = {"first_party": True, "may_act_for": ["keystead-cli"], "organization": "other", "client_id": "keystead-cli"}
    answer = register(program.web, many, scope="openid models:use root", contacts=None, **odd, **power).json()
    assert answer["scope"] == "openid"
    assert answer.keys().isdisjoint({*odd, *power} - {"client_id"})
    client = clients().get(client_id=answer["client_id"])
    assert (client.first_party, client.may_act_for) == (False, [])


@pytest.mark.requirement("openid-backchannel 2.2", "rfc7591 3.2.1")
def test_a_client_says_where_it_hears_of_ended_sign_ins(program: Any, many: str) -> None:
    wanted = {"backchannel_logout_uri": "https://app.example.com/logout", "backchannel_logout_session_required": True}
    answer = register(program.web, many, **wanted).json()
    assert wanted.items() <= answer.items()
    client = clients().get(client_id=answer["client_id"])
    assert client.backchannel_logout_uri == wanted["backchannel_logout_uri"]
    assert client.backchannel_logout_session_required


@pytest.mark.requirement("rfc7591 2 defaults")
def test_a_public_client_has_no_secret(program: Any, many: str) -> None:
    answer = register(
        program.web,
        many,
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token", "authorization_code"],
        redirect_uris=["http://127.0.0.1/cb", "http://[::1]/cb"],
        client_name=...,
        require_pushed_authorization_requests=True,
        dpop_bound_access_tokens=True,
    ).json()
    assert answer.keys().isdisjoint({"client_secret", "client_secret_expires_at"})
    assert answer["grant_types"] == ["authorization_code", "refresh_token"]
    assert answer["client_name"] == "Unnamed program"
    assert answer["require_pushed_authorization_requests"]
    assert answer["dpop_bound_access_tokens"]
    assert clients().get().require_pushed_requests


def test_a_client_that_signs_registers_its_keys_and_nothing_beside_them(program: Any, many: str) -> None:
    key = {**PUBLIC, "kid": "one", "x5c": ["\0"], "note": {"deep": [None]}, "use": 7}
    assert fault(register(program.web, many, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key]}))
    key["use"] = "sig"
    answer = register(program.web, many, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key]}).json()
    (kept,) = answer["jwks"]["keys"]
    assert kept == {**{name: PUBLIC[name] for name in ("kty", "crv", "x", "y")}, "kid": "one", "use": "sig"}
    assert "client_secret" not in answer


@pytest.mark.requirement("rfc7591 3.2.2")
@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"redirect_uris": ["http://localhost/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example.com/cb#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://app.example.com/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://*.example.com/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [CALLBACK, "com.example:/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ...}, "invalid_redirect_uri"),
        ({"redirect_uris": CALLBACK}, "invalid_redirect_uri"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri"),
        ({"grant_types": ["refresh_token"]}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": ["implicit"], "response_types": ["token"]}, "invalid_client_metadata"),
        ({"grant_types": [EXCHANGE]}, "invalid_client_metadata"),
        ({"grant_types": "authorization_code"}, "invalid_client_metadata"),
        ({"response_types": ["code", "token"]}, "invalid_client_metadata"),
        ({"response_types": []}, "invalid_client_metadata"),
        ({"response_types": 1}, "invalid_client_metadata"),
        ({"scope": "models:use"}, "invalid_client_metadata"),
        ({"scope": ["openid"]}, "invalid_client_metadata"),
        ({"client_name": "a\nb"}, "invalid_client_metadata"),
        ({"client_name": "x" * 201}, "invalid_client_metadata"),
        ({"client_name": "\ud800"}, "invalid_client_metadata"),
        ({"client_name": 1}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"jwks_uri": "http://169.254.169.254/keys"}, "invalid_client_metadata"),
        ({"jwks": {"keys": [PUBLIC]}}, "invalid_client_metadata"),
        ({"jwks": []}, "invalid_client_metadata"),
        ({"dpop_bound_access_tokens": "yes"}, "invalid_client_metadata"),
        ({"backchannel_logout_uri": "http://app.example.com/logout"}, "invalid_client_metadata"),
        ({"backchannel_logout_uri": "https://app.example.com/é"}, "invalid_client_metadata"),
        ({"backchannel_logout_uri": ["https://app.example.com/logout"]}, "invalid_client_metadata"),
        ({"backchannel_logout_uri": "https://app.example.com/logout", "scope": "profile"}, "invalid_client_metadata"),
        ({"backchannel_logout_session_required": True}, "invalid_client_metadata"),
        ({"software_statement": "a.b.c"}, "invalid_software_statement"),
        ({"software_statement": 7}, "invalid_software_statement"),
        ({"software_statement": "e30.e30.c2ln"}, "unapproved_software_statement"),
    ],
)
def test_what_will_not_do_is_refused_by_its_code_and_uses_nothing_up(
    administrator: Any, program: Any, clock: Any, metadata: dict[str, Any], error: str
) -> None:
    token, secret = make(administrator)
    assert fault(register(program.web, secret, **metadata)) == (400, error)
    token.refresh_from_db()
    assert (token.uses, clients().count()) == (0, 0)
    assert register(program.web, secret).status_code == 201


@pytest.mark.requirement("rfc7591 3.2.2")
def test_a_refusal_names_the_field_in_the_characters_that_oauth_allows(program: Any, many: str) -> None:
    for name, value in {
        "redirect_uris": ["x"],
        "scope": "root",
        "grant_types": ["x"],
        "jwks": "é",
        "jwks_uri": "x",
    }.items():
        said = register(program.web, many, **{name: value}).json()["error_description"]
        assert said.startswith(f"{name}: ")
        assert said.isascii()
        assert not set(said) & {'"', "\\"}


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{**PUBLIC, "d": "AAAA"}],
        [{"kty": "oct", "k": "AAAA"}],
        [{"kty": "RSA", "n": "w" * 171, "e": "AQAB"}],
        [{**PUBLIC, "x": 7}],
        [{**PUBLIC, "kid": "a\u0000b"}],
        [{**PUBLIC, "kty": ["EC"]}],
        [7],
    ],
)
def test_keys_that_cannot_be_used_are_refused(program: Any, many: str, keys: list[Any]) -> None:
    wanted = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": keys}}
    assert fault(register(program.web, many, **wanted)) == (400, "invalid_client_metadata")


@pytest.mark.requirement("rfc7591 3.1")
@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"scope": "openid", "scope": "email"}',
        b'{"a": NaN}',
        b"[" * 30_000,
        b'{"client_name": ' + b"9" * 20_000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(program: Any, many: str, body: bytes) -> None:
    assert fault(register(program.web, many, body)) == (400, "invalid_client_metadata")


@pytest.mark.requirement("rfc7591 3.1")
def test_only_a_post_of_json_of_bounded_size_is_taken(program: Any, many: str) -> None:
    head = {"authorization": f"Bearer {many}"}
    assert fault(register(program.web, many, b" " * 40_000)) == (413, "invalid_request")
    for media_type in ("application/x-www-form-urlencoded", "text/plain"):
        assert fault(program.web.post(ENDPOINT, "{}", content_type=media_type, headers=head)) == (
            400,
            "invalid_request",
        )
    for method in ("get", "put", "delete", "patch"):
        response = getattr(program.web, method)(ENDPOINT, headers=head)
        assert (response.status_code, response["allow"]) == (405, "POST")
    body = json.dumps({"redirect_uris": [CALLBACK]})
    answer = program.web.post(ENDPOINT, body, content_type="Application/JSON; charset=utf-8", headers=head)
    assert answer.status_code == 201


@pytest.mark.requirement("rfc7591 3", "rfc6750 3")
@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer ", "Basic a2V5OnNlY3JldA==", "ksi_"])
def test_without_a_token_nobody_registers(program: Any, many: str, shown: str) -> None:
    body = json.dumps({"redirect_uris": [CALLBACK]})
    response = program.web.post(ENDPOINT, body, content_type="application/json", headers={"authorization": shown})
    assert fault(response) == (401, "invalid_token")
    assert response["www-authenticate"] == 'Bearer realm="keystead"'
    assert not clients().exists()


@pytest.mark.requirement("rfc7591 3", "rfc6750 3")
@pytest.mark.parametrize("token", ["x", "ksi_" + "0" * 49, "ksx_" + "0" * 49, "\xe9", "eyJhbGciOiJub25lIn0.e30."])
def test_a_token_that_is_none_is_refused_with_a_challenge(program: Any, many: str, token: str) -> None:
    response = register(program.web, token)
    assert fault(response) == (401, "invalid_token")
    assert response["www-authenticate"] == 'Bearer realm="keystead", error="invalid_token"'


@pytest.mark.requirement("rfc7591 3")
def test_a_token_ends_by_use_by_time_and_by_hand(administrator: Any, program: Any, clock: Any) -> None:
    from keystead.server.authorization import registration_tokens
    from keystead.server.authorization.surroundings import now

    (_, twice), (_, day), (revoked, gone) = (make(administrator, max_uses=uses) for uses in (2, 9, 9))
    assert [register(program.web, twice).status_code for _ in range(3)] == [201, 201, 401]
    assert register(program.web, gone).status_code == 201
    assert registration_tokens.revoke(revoked, administrator, now())
    assert not registration_tokens.revoke(revoked, administrator, now())
    assert fault(register(program.web, gone)) == (401, "invalid_token")
    assert clients().filter(registration_token=revoked, disabled_at=None).count() == 1, "its clients stay"
    assert register(program.web, day).status_code == 201
    clock.sleep(timedelta(days=1).total_seconds())
    assert fault(register(program.web, day)) == (401, "invalid_token")


@pytest.mark.requirement("rfc7591 3")
def test_of_many_programs_at_once_one_uses_a_token_for_one(administrator: Any, clock: Any) -> None:
    token, secret = make(administrator)
    seen = races.together(lambda web: register(web, secret).status_code)
    assert Counter(seen) == {201: 1, 401: races.THREADS - 1}
    token.refresh_from_db()
    assert (token.uses, clients().count()) == (1, 1)


def test_the_token_is_stored_as_a_hash_and_everything_is_audited(administrator: Any, program: Any, clock: Any) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.authorization import registration_tokens
    from keystead.server.authorization.surroundings import now

    token, secret = make(administrator)
    client_secret = register(program.web, secret).json()["client_secret"]
    registration_tokens.revoke(token, administrator, now())
    assert secret.startswith("ksi_")
    assert secret.encode() not in bytes(token.digest)
    events = list(AuditEvent.objects.order_by("at", "id"))
    assert sorted((one.action, one.actor, one.target) for one in events) == [
        ("client:create", token.wire_id, clients().get().wire_id),
        ("registration_token:create", f"mem_{administrator.id.hex}", token.wire_id),
        ("registration_token:revoke", f"mem_{administrator.id.hex}", token.wire_id),
    ]
    assert not any(known in str(one.details) for one in events for known in (secret, client_secret))


@pytest.mark.requirement("rfc7591 3")
@pytest.mark.parametrize(
    "more",
    [
        {"name": " "},
        {"name": "a\nb"},
        {"grant_types": []},
        {"grant_types": [EXCHANGE]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["password"]},
        {"scope": ""},
        {"scope": "everything"},
        {"scope": "openid models:use"},
        {"lifetime": timedelta(0)},
        {"lifetime": timedelta(days=91)},
        {"max_uses": 0},
        {"max_uses": 1001},
    ],
)
def test_a_token_allows_nothing_that_no_client_may_do(administrator: Any, clock: Any, more: dict[str, Any]) -> None:
    from keystead.errors import KeysteadError
    from keystead.server.authorization.models import RegistrationToken

    with pytest.raises(KeysteadError):
        make(administrator, **more)
    assert not RegistrationToken.objects.exists()


def test_a_service_account_s_client_asks_in_its_own_name_until_the_account_ends(
    administrator: Any, program: Any, clock: Any
) -> None:
    from keystead.errors import UsageError
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import service_accounts

    account = service_accounts.create(administrator, "deploy", now=now())
    own = {"grant_types": ["client_credentials"], "scope": "models:use", "service_account": account, "max_uses": 9}
    _, secret = make(administrator, **own)
    asked = {"grant_types": ["client_credentials"], "redirect_uris": ...}
    assert fault(register(program.web, secret)) == (400, "invalid_client_metadata"), "authorization_code is the default"
    public = register(program.web, secret, token_endpoint_auth_method="none", **asked)
    assert fault(public) == (400, "invalid_client_metadata"), "nobody asks in its own name without proving it"
    answer = register(program.web, secret, **asked).json()
    assert (answer["scope"], answer["response_types"], answer["redirect_uris"]) == ("models:use", [], [])
    proof = {"client_id": answer["client_id"], "client_secret": answer["client_secret"]}
    assert program.token(grant_type="client_credentials", **proof)[1]["scope"] == "models:use"
    service_accounts.disable(account, administrator, now())
    assert fault(register(program.web, secret, **asked)) == (400, "invalid_client_metadata")
    account.refresh_from_db()
    with pytest.raises(UsageError, match="has ended"):
        make(administrator, **own)


def test_tokens_are_made_and_revoked_by_their_own_organization_s_administrators(administrator: Any, clock: Any) -> None:
    from keystead.errors import PolicyDenied
    from keystead.server.authorization import registration_tokens
    from keystead.server.authorization.surroundings import now
    from keystead.server.identity.models import Person
    from keystead.server.keys import service_accounts
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    token, _ = make(administrator)
    person = Person.objects.create_user("eve@example.com", None, created_at=now())
    stranger = organizations.add_member(organizations.create_organization("Other", now()), person, Role.ADMIN, now())
    developer = organizations.add_member(administrator.organization, person, Role.DEVELOPER, now())
    for member in (stranger, developer):
        assert registration_tokens.find(member, token.wire_id) is None
    with pytest.raises(PolicyDenied):
        make(developer)
    with pytest.raises(PolicyDenied):
        registration_tokens.revoke(token, developer, now())
    assert not registration_tokens.revoke(token, stranger, now())
    theirs = service_accounts.create(stranger, "deploy", now=now())
    with pytest.raises(Exception, match="another organization"):
        make(administrator, grant_types=["client_credentials"], scope="models:use", service_account=theirs)
    assert registration_tokens.find(administrator, token.wire_id) == token
    assert registration_tokens.find(administrator, "rgt_x") is None


@pytest.mark.requirement("rfc8414 2 registration")
def test_it_is_off_unless_it_is_switched_on_and_told_of_only_then(administrator: Any, program: Any, clock: Any) -> None:
    from django.conf import settings
    from django.test import override_settings

    from keystead.errors import ConfigurationError
    from keystead.server.settings import ServerSettings

    _, secret = make(administrator)
    assert program.web.get(WELL_KNOWN).json()["registration_endpoint"] == ORIGIN + ENDPOINT
    assert not ServerSettings(data_dir=settings.KEYSTEAD.data_dir).dynamic_registration
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=False)):
        assert "registration_endpoint" not in program.web.get(WELL_KNOWN).json()
        assert fault(register(program.web, secret)) == (404, "invalid_request")
        with pytest.raises(ConfigurationError):
            make(administrator)
    assert not clients().exists()


def test_an_address_that_asks_too_often_waits(program: Any, clock: Any, many: str) -> None:
    answers = [register(program.web, "x").status_code for _ in range(121)]
    assert answers == [401] * 120 + [429]
    refused = register(program.web, many)
    assert (fault(refused), refused["retry-after"]) == ((429, "slow_down"), "60")
