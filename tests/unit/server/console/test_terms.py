"""The page of terms: who is asked where, how often, and what follows from an answer."""

import html
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from keystead.server.organizations.roles import Role
from keystead.server.policy.terms import Kind

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership
    from keystead.server.terms.models import Terms

TEXT = "Be <kind>.\nTo everybody."
ASKED = "/terms?next=%2Fkeys"


def publish(version: str = "2026-11", *, days: int = 0, kind: Kind = Kind.COMMERCIAL) -> "Terms":
    from keystead.server.terms import operations as terms

    now = datetime.now(UTC)
    return terms.publish(kind, version, TEXT, now + timedelta(days=days), now)


def browser(member: "Membership") -> "Client":
    from django.test import Client

    web = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420", headers={"origin": "http://127.0.0.1:8420"})
    web.force_login(member.person)
    return web


@pytest.fixture
def ada(administrator: "Membership") -> "Client":
    return browser(administrator)


@pytest.fixture
def bo(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    now = datetime.now(UTC)
    person = Person.objects.create_user("bo@example.com", None, name="Bo", created_at=now)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, now)


def shown(response: Any) -> str:
    return html.unescape(response.content.decode())


def accept(web: "Client", text: "Terms", address: str = "/terms") -> Any:
    return web.post(address, {"terms": text.wire_id})


def bound() -> list[tuple[str, str, bool]]:
    from keystead.server.terms.models import Acceptance

    rows = Acceptance.objects.select_related("by__person", "terms").order_by("at", "id")
    return [(one.by.person.name, one.terms.version, one.for_organization) for one in rows]


def test_where_nothing_is_published_nobody_is_asked(ada: "Client") -> None:
    assert ada.get("/keys").status_code == 200
    page = shown(ada.get("/terms"))
    assert "published no commercial terms. Nothing waits for you." in page
    assert "/terms" in shown(ada.get("/"))


@pytest.mark.requirement("S-21 accepted")
def test_an_administrator_reads_and_accepts_for_the_organization(ada: "Client") -> None:
    text = publish()
    assert ada.get("/keys")["location"] == ASKED
    page = ada.get(ASKED)
    assert (page.status_code, TEXT in shown(page), "Be <kind>" in page.content.decode()) == (200, True, False)
    assert "until an administrator accepts them, the gateway refuses its people" in shown(page)
    assert "You accept them for Example, which includes its pipelines, and for yourself." in shown(page)
    assert accept(ada, text, ASKED)["location"] == "/keys"
    assert bound() == [("Ada", "2026-11", False), ("Ada", "2026-11", True)]
    assert ada.get("/keys").status_code == 200
    after = shown(ada.get("/terms"))
    assert "has accepted them" in after
    assert "ada@example.com" in after
    assert "Not now" not in after


@pytest.mark.requirement("S-21 accepted")
def test_a_member_accepts_for_themselves_and_is_asked_again_when_they_change(ada: "Client", bo: "Membership") -> None:
    web, text = browser(bo), publish()
    page = shown(web.get("/terms"))
    assert "You accept them for yourself; for Example an administrator does." in page
    assert "Which terms govern" not in page
    assert accept(web, text)["location"] == "/terms"
    assert bound() == [("Bo", "2026-11", False)]
    assert web.get("/keys").status_code == 200
    newer = publish("2026-12", days=30)
    assert web.get("/keys")["location"] == ASKED
    assert "on you sign no agent in until you do." in shown(web.get("/terms"))
    late = accept(web, text)
    assert (late.status_code, "have been replaced" in shown(late)) == (409, True)
    assert accept(web, newer).status_code == 302
    assert "2026-11</a>" in shown(web.get("/terms"))
    assert TEXT in shown(web.get(f"/terms/{text.wire_id}"))
    assert web.get("/terms/trm_1").status_code == web.post("/terms", {"terms": "trm_1"}).status_code == 404


@pytest.mark.requirement("S-21 accepted")
def test_who_says_not_now_is_asked_once_and_reminded(ada: "Client") -> None:
    publish(days=7)
    assert ada.post("/terms/later?next=/keys")["location"] == "/keys"
    page = ada.get("/keys")
    assert (page.status_code, "The commercial terms 2026-11 wait for you" in shown(page)) == (200, True)
    assert ada.post("/terms/later?next=https://elsewhere.example")["location"] == "/"
    assert bound() == []
    publish("2026-12", days=9)
    assert ada.get("/keys")["location"] == ASKED


def test_a_form_that_is_sent_is_not_lost(ada: "Client") -> None:
    publish()
    assert ada.post("/keys", {"name": "laptop", "purpose": "agent", "lifetime": "30"}).status_code == 200


def test_whoever_must_add_a_second_factor_first_is_not_sent_round_in_circles(
    ada: "Client", administrator: "Membership"
) -> None:
    from keystead.server.factors.models import Requirement

    Requirement.objects.create(organization=administrator.organization, created_at=datetime.now(UTC))
    publish()
    assert ada.get("/keys")["location"] == "/account/security"
    assert ada.get("/account/security").status_code == 200


@pytest.mark.requirement("S-21 accepted")
def test_no_agent_is_signed_in_before_the_person_has_accepted(bo: "Membership") -> None:
    web, text = browser(bo), publish()
    asked = "/terms?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK"
    assert web.get("/device?user_code=BCDF-GHJK")["location"] == asked
    assert web.post("/terms/later?next=/device")["location"] == "/"
    assert web.get("/device?user_code=BCDF-GHJK")["location"] == asked
    assert web.post("/device", {"user_code": "BCDF-GHJK"})["location"].startswith("/terms?next=")
    assert "form-action" not in web.get(asked)["content-security-policy"], "it may lead on to a loopback address"
    assert accept(web, text, asked)["location"] == "/device?user_code=BCDF-GHJK"
    assert "BCDF-GHJK" in shown(web.get("/device?user_code=BCDF-GHJK"))


@pytest.mark.requirement("S-21 accepted")
def test_before_its_day_a_version_may_be_put_off_at_a_sign_in_too(bo: "Membership") -> None:
    web = browser(bo)
    publish(days=7)
    assert web.get("/device")["location"] == "/terms?next=%2Fdevice"
    assert web.post("/terms/later?next=/device")["location"] == "/device"
    assert web.get("/device").status_code == 200


@pytest.mark.requirement("S-21 refused")
def test_the_kind_is_changed_by_an_administrator_only(ada: "Client", bo: "Membership") -> None:
    publish()
    refused = ada.post("/terms/kind", {"kind": "consumer"})
    assert (refused.status_code, "No consumer terms are published here." in shown(refused)) == (403, True)
    publish("c1", kind=Kind.CONSUMER)
    assert browser(bo).post("/terms/kind", {"kind": "consumer"}).status_code == 403
    assert ada.post("/terms/kind", {"kind": "other"}).status_code == 404
    assert ada.post("/terms/kind", {"kind": "consumer"})["location"] == "/terms"
    assert "Consumer terms, version c1" in shown(ada.get("/terms"))
