"""The client registry: what may be registered, two secrets while one is changed, and the end of a client."""

from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes
from typing import Any

import pytest

from keystead.errors import KeysteadError, PolicyDenied, UsageError

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def wanted(**more: Any) -> Any:
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.authorization.registry import Registration

    return replace(Registration("Portal", AuthMethod.CLIENT_SECRET_BASIC, [DEVICE]), **more)


def register(administrator: Any, **more: Any) -> Any:
    from keystead.server.authorization import registry
    from keystead.server.authorization.surroundings import now

    client, secret = registry.register(administrator, wanted(**more), now(), token_bytes)
    return client, secret and secret.reveal()


def works(program: Any, client: Any, secret: str) -> bool:
    form = {"client_id": client.client_id, "client_secret": secret}
    return bool(program.post("/oauth/device_authorization", **form)[0] == 200)


def test_the_secret_is_stored_as_a_hash_and_the_registration_is_audited(administrator: Any, program: Any) -> None:
    from keystead.server.audit.models import AuditEvent

    client, secret = register(administrator)
    assert works(program, client, secret)
    (stored,) = client.secrets.all()
    assert secret.encode() not in bytes(stored.digest)
    assert secret.startswith(stored.hint)
    (event,) = AuditEvent.objects.all()
    assert (event.action, event.target) == ("client:create", client.wire_id)
    assert secret not in str(event.details)


@pytest.mark.parametrize(
    "more",
    [
        {"name": " "},
        {"name": "a\nb"},
        {"name": "x" * 201},
        {"grant_types": []},
        {"grant_types": ["password"]},
        {"grant_types": ["authorization_code"]},
        {"redirect_uris": ["https://app.example.com/cb"]},
        {"scope": ""},
        {"scope": "everything"},
        {"jwks": {"keys": []}},
    ],
)
def test_what_will_not_do_is_refused(administrator: Any, program: Any, more: dict[str, Any]) -> None:
    from keystead.server.authorization.models import Client

    before = Client.objects.count()
    with pytest.raises(UsageError):
        register(administrator, **more)
    assert Client.objects.count() == before


@pytest.mark.requirement("rfc9700 2.1")
@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("https://app.example.com/callback", True),
        ("http://127.0.0.1/callback", True),
        ("http://[::1]/callback", True),
        ("http://app.example.com/callback", False),
        ("http://localhost/callback", False),
        ("https://app.example.com/callback#x", False),
        ("https://*.example.com/callback", False),
        ("https://user@app.example.com/callback", False),
        ("javascript:alert(1)", False),
        ("https:///callback", False),
        ("https://[", False),
        ("com.example.app:/callback", False),
        ("https://app.example.com/\\evil", False),
    ],
)
def test_which_addresses_may_be_registered(administrator: Any, program: Any, uri: str, allowed: bool) -> None:
    asked = {"grant_types": ["authorization_code"], "redirect_uris": [uri]}
    if allowed:
        assert register(administrator, **asked)[0].redirect_uris == [uri]
    else:
        with pytest.raises(UsageError):
            register(administrator, **asked)


@pytest.mark.requirement("openid-backchannel 2.2")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, None),
        ({"backchannel_logout_uri": "https://app.example.com:8443/logout?tenant=1"}, None),
        ({"backchannel_logout_uri": "http://[::1]:8080/logout"}, None),
        ({"backchannel_logout_session_required": False}, None),
        ({"backchannel_logout_uri": "http://127.0.0.1/logout", "auth_method": "none"}, "must authenticate"),
        ({"auth_method": "none"}, None),
        ({"backchannel_logout_uri": "http://app.example.com/logout"}, "must be https"),
        ({"backchannel_logout_uri": "http://localhost/logout"}, "must be https"),
        ({"backchannel_logout_uri": "https://app.example.com/logout#x"}, "without a fragment"),
        ({"backchannel_logout_uri": "https://user:pw@app.example.com/logout"}, "must be https"),
        ({"backchannel_logout_uri": "/logout"}, "must be https"),
        ({"backchannel_logout_uri": "https://app.example.com:x/logout"}, "must be https"),
        ({"backchannel_logout_uri": "https://app.example.com/\r\nX: y"}, "must be https"),
        ({"backchannel_logout_uri": "https://app.example.com/" + "x" * 2_000}, "must be https"),
        ({"backchannel_logout_uri": ""}, "without a logout address"),
        ({"scope": "profile"}, "with the scope openid"),
        ({"grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"]}, "signs people in"),
    ],
)
def test_which_logout_address_may_be_registered(
    administrator: Any, program: Any, more: dict[str, Any], said: str | None
) -> None:
    from keystead.server.authorization.models import AuthMethod

    usual = {"backchannel_logout_uri": "https://app.example.com/logout", "backchannel_logout_session_required": True}
    asked = {**usual, **more}
    if "auth_method" in asked:
        asked["auth_method"] = AuthMethod(asked["auth_method"])
    if said is None:
        client, _ = register(administrator, **asked)
        assert client.backchannel_logout_uri == asked["backchannel_logout_uri"]
        assert client.backchannel_logout_session_required == asked["backchannel_logout_session_required"]
    else:
        with pytest.raises(UsageError, match=said):
            register(administrator, **asked)


def test_only_first_party_clients_may_use_models_in_a_person_s_name(administrator: Any, program: Any) -> None:
    from keystead.server.audit.models import AuditEvent

    with pytest.raises(PolicyDenied, match="person-sign-in") as refused:
        register(administrator, scope="openid models:use")
    assert "service account" in str(refused.value.hint)
    assert AuditEvent.objects.get(action="client:refuse").details["rule"] == "person-sign-in"
    assert register(administrator, scope="openid models:use", first_party=True)[0].first_party


def test_the_wall_holds_for_a_client_that_lost_its_mark(administrator: Any, program: Any, browser: Any) -> None:
    from keystead.server.authorization.models import Client

    client, secret = register(administrator, scope="openid models:use", first_party=True)
    proof = {"client_id": client.client_id, "client_secret": secret}
    codes = program.post("/oauth/device_authorization", **proof)[1]
    browser.post("/device", {"user_code": codes["user_code"], "decision": "approve"})
    Client.objects.filter(pk=client.pk).update(first_party=False)
    status, answer = program.token(grant_type=DEVICE, device_code=codes["device_code"], **proof)
    assert (status, answer["error"]) == (403, "unauthorized_client")
    assert "person-sign-in" in answer["error_description"]


def test_a_replaced_secret_works_for_a_week_and_at_most_two_work(administrator: Any, program: Any, clock: Any) -> None:
    from keystead.server.authorization import registry
    from keystead.server.authorization.surroundings import now

    client, first = register(administrator)
    second = registry.rotate_secret(client, administrator, now(), token_bytes).reveal()
    assert [works(program, client, one) for one in (first, second)] == [True, True]
    clock.sleep(60)
    third = registry.rotate_secret(client, administrator, now(), token_bytes).reveal()
    assert [works(program, client, one) for one in (first, second, third)] == [False, True, True]
    clock.sleep(timedelta(days=7, seconds=1).total_seconds())
    assert [works(program, client, one) for one in (first, second, third)] == [False, False, True]


def test_a_leaked_secret_is_ended_before_its_time(administrator: Any, program: Any) -> None:
    from keystead.server.authorization import registry
    from keystead.server.authorization.surroundings import now

    client, first = register(administrator)
    assert not registry.end_replaced_secret(client, administrator, now()), "the only one is not a replaced one"
    second = registry.rotate_secret(client, administrator, now(), token_bytes).reveal()
    assert registry.end_replaced_secret(client, administrator, now())
    assert [works(program, client, one) for one in (first, second)] == [False, True]


def test_disabling_a_client_ends_its_sign_ins(administrator: Any, program: Any, browser: Any) -> None:
    from keystead.server.authorization import registry
    from keystead.server.authorization.surroundings import now

    client, secret = register(administrator, grant_types=[DEVICE, "refresh_token"])
    proof = {"client_id": client.client_id, "client_secret": secret}
    codes = program.post("/oauth/device_authorization", **proof)[1]
    browser.post("/device", {"user_code": codes["user_code"], "decision": "approve"})
    tokens = program.token(grant_type=DEVICE, device_code=codes["device_code"], **proof)[1]
    assert registry.disable(client, administrator, now())
    assert not registry.disable(client, administrator, now())
    assert program.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"], **proof)[0] == 401
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}"}
    assert program.web.get("/oauth/userinfo", **bearer).status_code == 401
    assert not works(program, client, secret)


def test_clients_are_managed_by_their_own_organization_s_administrators(administrator: Any, program: Any) -> None:
    from keystead.server.authorization import registry
    from keystead.server.authorization.surroundings import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    client, _ = register(administrator)
    person = Person.objects.create_user("eve@example.com", None, created_at=now())
    stranger = organizations.add_member(organizations.create_organization("Other", now()), person, Role.ADMIN, now())
    developer = organizations.add_member(administrator.organization, person, Role.DEVELOPER, now())
    for member in (stranger, developer):
        assert registry.find(member, client.client_id) is None
        for change in (registry.disable, registry.end_replaced_secret):
            with pytest.raises(KeysteadError):
                change(client, member, now())
        with pytest.raises(KeysteadError):
            registry.rotate_secret(client, member, now(), token_bytes)
    with pytest.raises(PolicyDenied):
        register(developer)
    assert registry.find(administrator, client.client_id) == client
