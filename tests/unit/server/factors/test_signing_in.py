"""Signing in with more than a password, at the pages that a browser sees."""

import base64
import json
import re
from datetime import UTC, datetime
from html import unescape
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest
from authenticators import SoftKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from keystead.testing.clock import FakeClock

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership

SIGN_IN = {"login": "ada@example.com", "password": "correct horse battery"}


def text(response: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def options(response: Any) -> dict[str, Any]:
    """Return what the page's script is to give to the browser."""
    found = re.search(r'data-passkey-options="([^"]+)"', response.content.decode())
    assert found
    asked: dict[str, Any] = json.loads(unescape(found[1]))
    return asked


class Phone:
    """An authenticator app: has scanned the picture, or rather read the text beside it."""

    def __init__(self, page: Any, clock: FakeClock) -> None:
        found = re.search(r'aria-label="Key for the app">([A-Z2-7 ]+)<', page.content.decode())
        assert found
        self._totp = TOTP(base64.b32decode(found[1].replace(" ", "")), 6, SHA1(), 30)
        self._clock = clock
        sealed = re.search(r'name="sealed" value="([^"]+)"', page.content.decode())
        assert sealed
        self.sealed = sealed[1]

    @property
    def code(self) -> str:
        return self._totp.generate(int(self._clock.now())).decode()


def with_app(web: "Client", clock: FakeClock) -> tuple[Phone, list[str]]:
    """Add an app as somebody who has just signed in; return it and the recovery codes."""
    phone = Phone(web.get("/account/security/app"), clock)
    added = web.post("/account/security/app", {"sealed": phone.sealed, "code": phone.code})
    assert added.status_code == 200, text(added)
    clock.advance(60)
    return phone, re.findall(r"\b[0-9A-Z]{6}(?:-[0-9A-Z]{6}){3}\b", added.content.decode())


def with_passkey(web: "Client") -> SoftKey:
    key = SoftKey()
    asked = options(web.get("/account/security/passkeys/new"))
    answer = {"credential": json.dumps(key.create(asked)), "name": "laptop"}
    assert web.post("/account/security/passkeys/new", answer).status_code == 200
    return key


@pytest.fixture
def ada(web: "Client", administrator: "Membership") -> "Client":
    """Her browser, signed in with the password."""
    assert web.post("/account/login/", SIGN_IN).headers["Location"] == "/"
    return web


def signed_in(web: "Client") -> bool:
    return bool(web.get("/keys").status_code == 200)


def methods(web: "Client") -> str:
    """Return how a client is told that the person signed in (RFC 8176)."""
    from django.test import RequestFactory

    from keystead.server.authorization import browser_session
    from keystead.server.identity.models import Person

    request = RequestFactory().get("/")
    request.session, request.user = web.session, Person.objects.get()
    return browser_session.authentication(request).methods


def test_after_the_password_the_code_is_asked_for_and_nothing_is_open_before(ada: "Client", clock: FakeClock) -> None:
    phone, codes = with_app(ada, clock)
    assert len(codes) == 10
    ada.post("/account/logout/")

    asked = ada.post("/account/login/", SIGN_IN)
    assert asked.headers["Location"] == "/account/second-factor"
    assert not signed_in(ada)
    wrong = ada.post("/account/second-factor", {"code": "000000"})
    assert (wrong.status_code, signed_in(ada)) == (422, False)
    assert "This code is not right" in text(wrong)

    assert ada.post("/account/second-factor", {"code": phone.code}).headers["Location"] == "/"
    assert signed_in(ada)
    assert methods(ada) == "pwd otp mfa"


def test_the_code_is_not_taken_a_second_time(ada: "Client", clock: FakeClock) -> None:
    phone, _ = with_app(ada, clock)
    for taken in (True, False):
        ada.post("/account/logout/")
        ada.post("/account/login/", SIGN_IN)
        ada.post("/account/second-factor", {"code": phone.code})
        assert signed_in(ada) is taken


def test_a_recovery_code_stands_in_and_the_person_is_told(ada: "Client", clock: FakeClock) -> None:
    _, codes = with_app(ada, clock)
    ada.post("/account/logout/")
    ada.post("/account/login/", SIGN_IN)

    ada.post("/account/second-factor", {"code": codes[3].lower()})

    assert signed_in(ada)
    assert "9 recovery codes are unused" in text(ada.get("/account/security"))


def test_guessing_is_stopped_for_the_right_code_too(ada: "Client", clock: FakeClock) -> None:
    phone, _ = with_app(ada, clock)
    ada.post("/account/logout/")
    ada.post("/account/login/", SIGN_IN)
    for _ in range(5):
        ada.post("/account/second-factor", {"code": "000000"})

    refused = ada.post("/account/second-factor", {"code": phone.code})

    assert "Too many wrong codes" in text(refused)
    assert not signed_in(ada)


def test_the_second_step_without_the_first_leads_to_the_first(web: "Client", administrator: "Membership") -> None:
    for answer in (web.get("/account/second-factor"), web.post("/account/second-factor", {"code": "000000"})):
        assert answer.headers["Location"] == "/account/login/"


def test_a_passkey_signs_in_alone_and_leads_on(ada: "Client") -> None:
    key = with_passkey(ada)
    ada.post("/account/logout/")

    asked = json.loads(ada.get("/account/passkey").content)
    answer = {"credential": json.dumps(key.get(asked)), "next": "/usage"}
    assert ada.post("/account/passkey", answer).headers["Location"] == "/usage"
    assert signed_in(ada)
    assert methods(ada) == "pop mfa"


def test_a_passkey_is_the_second_step_too(ada: "Client") -> None:
    key = with_passkey(ada)
    ada.post("/account/logout/")
    ada.post("/account/login/", SIGN_IN)

    asked = options(ada.get("/account/second-factor"))
    ada.post("/account/second-factor", {"credential": json.dumps(key.get(asked))})

    assert signed_in(ada)


@pytest.mark.parametrize("credential", ["", "{}", "[]", "x" * 60_000, '{"id": 1}'])
def test_what_is_no_passkey_signs_nobody_in(web: "Client", administrator: "Membership", credential: str) -> None:
    web.get("/account/passkey")

    refused = web.post("/account/passkey", {"credential": credential})

    assert (refused.status_code, signed_in(web)) == (403, False)
    assert "That passkey was not accepted" in text(refused)


def test_a_passkey_leads_nowhere_else(ada: "Client") -> None:
    key = with_passkey(ada)
    ada.post("/account/logout/")
    asked = json.loads(ada.get("/account/passkey").content)

    answer = ada.post("/account/passkey", {"credential": json.dumps(key.get(asked)), "next": "https://evil.example/"})

    assert answer.headers["Location"] == "/"


def test_somebody_who_may_not_sign_in_does_not_by_passkey_either(ada: "Client") -> None:
    from keystead.server.identity.models import Person

    key = with_passkey(ada)
    ada.post("/account/logout/")
    Person.objects.update(is_active=False)
    asked = json.loads(ada.get("/account/passkey").content)

    ada.post("/account/passkey", {"credential": json.dumps(key.get(asked))})

    assert not signed_in(ada)


def test_a_form_that_was_open_too_long_gets_a_new_picture(ada: "Client", clock: FakeClock) -> None:
    phone = Phone(ada.get("/account/security/app"), clock)
    clock.advance(8 * 60)
    code, sealed = phone.code, phone.sealed
    clock.advance(23 * 60)
    ada.post("/account/logout/")
    ada.post("/account/login/", SIGN_IN)

    late = ada.post("/account/security/app", {"sealed": sealed, "code": code})

    assert late.status_code == 422
    assert Phone(late, clock).sealed != sealed


def test_a_reset_password_does_not_stand_for_the_second_factor(ada: "Client", clock: FakeClock) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.identity import accounts, link_codes
    from keystead.server.identity.models import Person, Purpose

    phone, _ = with_app(ada, clock)
    person = Person.objects.get()
    code = link_codes.make(person, Purpose.RESET, person.email, now(), token_bytes)
    accounts.reset_password(link_codes.look(code, now()), accounts.NewPassword("entirely new staple gun"), now())
    assert not signed_in(ada)
    asked = ada.post("/account/login/", {**SIGN_IN, "password": "entirely new staple gun"})
    assert asked.headers["Location"] == "/account/second-factor"
    assert not signed_in(ada)
    ada.post("/account/second-factor", {"code": phone.code})
    assert signed_in(ada)


def test_other_browsers_are_signed_out_when_a_factor_comes_or_goes(ada: "Client", clock: FakeClock) -> None:
    from django.test import Client

    def another() -> "Client":
        visitor = Client(SERVER_NAME="localhost", SERVER_PORT="8420")
        visitor.force_login(Person.objects.get())
        return visitor

    from keystead.server.identity.models import Person

    other = another()
    with_app(ada, clock)
    assert [signed_in(ada), signed_in(other)] == [True, False]
    other = another()
    assert ada.post("/account/security/app/remove").status_code == 302
    assert [signed_in(ada), signed_in(other)] == [True, False]


def test_every_change_is_written_down(ada: "Client", clock: FakeClock, administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.factors.models import Passkey

    with_app(ada, clock)
    with_passkey(ada)
    ada.post("/account/security/codes")
    ada.post("/account/security/app/remove")
    ada.post(f"/account/security/passkeys/{Passkey.objects.get().pk}/remove")

    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == [
        "person:app_add",
        "person:passkey_add",
        "person:codes_renew",
        "person:app_remove",
        "person:passkey_remove",
    ]
    assert "Recovery codes" not in text(ada.get("/account/security"))


class TestRequired:
    """An organization asks everybody for a second factor."""

    @pytest.fixture
    def asked(self, ada: "Client", clock: FakeClock) -> "Client":
        assert "You have no second factor yourself" in text(ada.post("/account/security/required", {"required": "yes"}))
        with_app(ada, clock)
        assert ada.post("/account/security/required", {"required": "yes"}).headers["Location"] == "/account/security"
        return ada

    @pytest.fixture
    def bo(self, asked: "Client", administrator: "Membership") -> "Client":
        from django.test import Client

        from keystead.server.identity.models import Person
        from keystead.server.organizations import operations
        from keystead.server.organizations.roles import Role

        now = datetime(2026, 11, 21, tzinfo=UTC)
        person = Person.objects.create_user("bo@example.com", "another horse battery", created_at=now)
        operations.add_member(administrator.organization, person, Role.DEVELOPER, now)
        web = Client(SERVER_NAME="localhost", SERVER_PORT="8420", headers={"origin": "http://localhost:8420"})
        web.post("/account/login/", {"login": "bo@example.com", "password": "another horse battery"})
        return web

    @pytest.mark.parametrize("path", ["/", "/keys", "/device", "/devices", "/oauth/authorize?client_id=keystead-cli"])
    def test_who_has_none_reaches_the_page_to_add_one_only(self, bo: "Client", path: str) -> None:
        for answer in (bo.get(path), bo.post(path)):
            assert answer.headers["Location"] == "/account/security"
        assert "Example asks for a second factor" in text(bo.get("/account/security"))

    def test_adding_one_opens_the_rest(self, bo: "Client", clock: FakeClock) -> None:
        with_app(bo, clock)

        assert signed_in(bo)

    def test_the_last_one_cannot_be_removed(self, bo: "Client", clock: FakeClock) -> None:
        with_app(bo, clock)

        assert "this is your only one" in text(bo.post("/account/security/app/remove"))

    def test_who_may_not_manage_members_does_not_switch_it(self, bo: "Client", clock: FakeClock) -> None:
        with_app(bo, clock)

        assert bo.post("/account/security/required", {"required": "no"}).status_code == 403

    def test_it_is_switched_off_again(self, asked: "Client", bo: "Client") -> None:
        asked.post("/account/security/required", {"required": "no"})

        assert signed_in(bo)
