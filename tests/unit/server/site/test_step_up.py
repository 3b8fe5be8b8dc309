"""Asking again before what matters: nothing typed is lost, and no form is forgotten."""

import json
import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from authenticators import SoftKey
from people import Forms

from keystead.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

    from keystead.server.organizations.models import Membership

ORIGIN = "http://localhost:8420"
PASSWORD = "correct horse battery"
KEY = {"name": "build server\n", "purpose": "agent", "lifetime": "30"}


@pytest.fixture
def clock(migrated: object) -> "Iterator[FakeClock]":
    from django.conf import settings
    from django.core.cache import cache
    from django.test import override_settings

    clock = FakeClock()
    with override_settings(KEYSTEAD_CLOCK=clock, KEYSTEAD=replace(settings.KEYSTEAD, public_url=ORIGIN)):
        yield clock
    cache.clear()


@pytest.fixture
def ada(administrator: "Membership", clock: FakeClock) -> "Client":
    from django.test import Client

    web = Client(SERVER_NAME="localhost", SERVER_PORT="8420", headers={"origin": ORIGIN})
    web.post("/account/login/", {"login": "ada@example.com", "password": PASSWORD})
    return web


@pytest.fixture
def later(ada: "Client", clock: FakeClock) -> "Client":
    """Her browser eleven minutes later."""
    clock.advance(11 * 60)
    return ada


def form(response: Any) -> dict[str, str]:
    """Return the fields of the first form; browsers drop the newline that a text area begins with."""
    reader = Forms()
    reader.feed(response.content.decode())
    fields = reader.forms[0][1]
    return {name: value.removeprefix("\n") for name, value in fields.items() if name != "csrfmiddlewaretoken"}


def names() -> set[str]:
    from keystead.server.keys.models import ApiKey

    return set(ApiKey.objects.values_list("name", flat=True))


def test_who_has_just_signed_in_is_not_asked(ada: "Client") -> None:
    assert ada.post("/keys", KEY).status_code == 200
    assert names() == {"build server"}


def test_later_the_person_is_asked_and_what_was_typed_is_done_then(later: "Client") -> None:
    asked = later.post("/keys", KEY)

    assert (asked.status_code, names()) == (403, set())
    kept = form(asked)
    assert KEY["name"].strip() in kept["name"]
    done = later.post("/keys", {**kept, "confirm_password": PASSWORD})
    assert done.status_code == 200
    assert names() == {"build server"}
    assert later.post("/keys", {**KEY, "name": "another"}).status_code == 200, "for ten minutes nobody asks again"


def test_ten_minutes_after_that_they_are_asked_again(later: "Client", clock: FakeClock) -> None:
    later.post("/keys", {**KEY, "confirm": "password", "confirm_password": PASSWORD})
    clock.advance(10 * 60)

    assert later.post("/keys", KEY).status_code == 403


def test_a_wrong_password_keeps_everything_and_does_nothing(later: "Client") -> None:
    asked = later.post("/keys", {**KEY, "confirm": "password", "confirm_password": "wrong"})

    assert (asked.status_code, names()) == (422, set())
    assert "The password is not right." in asked.content.decode()
    assert "wrong" not in str(form(asked).values())
    assert form(asked)["purpose"] == "agent"


def test_guessing_is_stopped_for_the_right_one_too(later: "Client") -> None:
    for _ in range(5):
        later.post("/keys", {**KEY, "confirm": "password", "confirm_password": "wrong"})

    refused = later.post("/keys", {**KEY, "confirm": "password", "confirm_password": PASSWORD})

    assert "Too many wrong tries" in refused.content.decode()
    assert names() == set()


def test_looking_and_ending_need_no_confirmation(later: "Client") -> None:
    assert later.get("/keys").status_code == 200
    assert later.post("/devices/sign-out").status_code == 302


def test_a_passkey_confirms_and_so_its_owner_need_not_type(ada: "Client", clock: FakeClock) -> None:
    key = with_passkey(ada)
    clock.advance(11 * 60)
    asked = ada.post("/keys", KEY)
    options = json.loads(unescape(found(r'data-passkey-options="([^"]+)"', asked)))

    done = ada.post("/keys", {**form(asked), "confirm_passkey": json.dumps(key.get(options))})

    assert (done.status_code, names()) == (200, {"build server"})


def test_who_has_a_second_factor_does_not_confirm_with_the_password_alone(ada: "Client", clock: FakeClock) -> None:
    with_passkey(ada)
    clock.advance(11 * 60)

    asked = ada.post("/keys", {**KEY, "confirm": "password", "confirm_password": PASSWORD})

    assert (asked.status_code, names()) == (422, set())
    assert "The code is not right" in asked.content.decode()


def test_who_came_by_single_sign_on_is_sent_there_in_another_tab(
    ada: "Client", clock: FakeClock, administrator: "Membership"
) -> None:
    from keystead.server.sso.models import Connection
    from keystead.server.sso.sessions import CONNECTION

    connection = Connection.objects.create(
        organization=administrator.organization, kind="oidc", name="Example login", settings={},
        created_at=administrator.created_at, enabled_at=administrator.created_at,
    )  # fmt: skip
    session = ada.session
    session[CONNECTION] = connection.wire_id
    session.save()
    clock.advance(11 * 60)

    asked = ada.post("/keys", KEY)

    assert unescape(found(r'<a href="(/sso/[^"]+)" target="_blank"', asked)) == (
        f"/sso/{connection.wire_id}?next=%2Faccount%2Fconfirmed&again=yes"
    )


def test_every_form_is_in_one_table_and_every_row_is_a_form(ada: "Client") -> None:
    """A new page that takes forms is a decision: does it matter or not."""
    from django.urls import get_resolver

    from keystead.server.site.step_up import DOES_NOT, MATTERS, OPEN

    patterns = {one.name: one for one in flat(get_resolver().url_patterns)}
    programs = {
        "metadata", "openid_metadata", "resource_metadata", "par", "token", "token_of_workload", "device_authorization",
        "revoke", "introspect", "userinfo", "jwks", "register", "registered", "managed_settings",
            "api_spend_limits", "api_allowances",
    }  # fmt: skip
    forms = {
        name
        for name, pattern in patterns.items()
        if name not in programs and not name.startswith("scim") and takes_forms(ada, pattern)
    }
    assert forms - MATTERS - DOES_NOT == set()
    assert set() == MATTERS & DOES_NOT
    assert (MATTERS | DOES_NOT | OPEN) - patterns.keys() == set()


def flat(patterns: Any) -> "Iterator[Any]":
    for one in patterns:
        if hasattr(one, "url_patterns"):
            yield from flat(one.url_patterns)
        elif one.name:
            yield one


def takes_forms(web: "Client", pattern: Any) -> bool:
    """Whether a POST is answered with anything but 405; the session may end on the way."""
    path = "/" + re.sub(r"<[^>]+>", "x", str(pattern.pattern))
    web.post("/account/login/", {"login": "ada@example.com", "password": PASSWORD})
    return bool(web.post(path).status_code != 405)


def found(pattern: str, response: Any) -> str:
    match = re.search(pattern, response.content.decode())
    assert match
    return match[1]


def with_passkey(web: "Client") -> SoftKey:
    key = SoftKey()
    options = found(r'data-passkey-options="([^"]+)"', web.get("/account/security/passkeys/new"))
    credential = json.dumps(key.create(json.loads(unescape(options))))
    web.post("/account/security/passkeys/new", {"credential": credential, "name": "laptop"})
    return key
