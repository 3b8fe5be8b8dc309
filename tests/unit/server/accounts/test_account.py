"""One's own account: another password, another address, and who may not change them here."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from arrivals import Mailbox
from doors import OTHER, PASSWORD, actions, browser, is_signed_in, sign_in

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership
    from keystead.testing.clock import FakeClock

CHANGE, ADDRESS, CONFIRM = "/account/password", "/account/address", "/account/address/confirm"
NEW = "ada@elsewhere.example"


def address_of(member: "Membership") -> tuple[str, bool]:
    member.person.refresh_from_db()
    return member.person.email, member.person.email_verified_at is not None


def asked_for(signed_in: "Client", mail: Mailbox, email: str = NEW) -> Mailbox:
    answer = signed_in.post(ADDRESS, {"email": email, "current": PASSWORD})
    assert answer.status_code == 200
    return mail


@pytest.mark.parametrize("path", ["/account", CHANGE, ADDRESS, CONFIRM, "/account/sessions"])
def test_strangers_are_sent_to_sign_in(web: "Client", administrator: "Membership", path: str) -> None:
    assert web.get(path).headers["Location"] == f"/account/login/?next={path}"


def test_a_password_is_changed_and_only_this_browser_stays(signed_in: "Client", mail: Mailbox) -> None:
    elsewhere = sign_in()
    assert elsewhere is not None
    assert signed_in.post(CHANGE, {"current": PASSWORD, "password": OTHER}).headers["Location"] == "/account"
    assert is_signed_in(signed_in)
    assert not is_signed_in(elsewhere)
    assert sign_in(PASSWORD) is None
    assert sign_in(OTHER) is not None
    assert "Your other browsers have been signed out" in mail.only().text
    assert "person:change_password" in actions()


def test_a_password_does_not_grow_old(mail: Mailbox, clock: "FakeClock") -> None:
    clock.advance(timedelta(days=3650).total_seconds())
    visitor = sign_in()
    assert visitor is not None
    assert is_signed_in(visitor)


@pytest.mark.parametrize(
    ("current", "password", "says"),
    [
        ("wrong wrong wrong", OTHER, "not your current password"),
        (PASSWORD, "short", "fewer than 12"),
        (PASSWORD, "passwordpassword", "most common"),
        ("", OTHER, "required"),
    ],
)
def test_a_wrong_or_poor_one_changes_nothing(
    signed_in: "Client", mail: Mailbox, current: str, password: str, says: str
) -> None:
    answer = signed_in.post(CHANGE, {"current": current, "password": password})
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert sign_in(PASSWORD) is not None
    assert mail.all() == []


def test_the_current_password_is_not_guessed_without_end(signed_in: "Client") -> None:
    answers = [signed_in.post(CHANGE, {"current": f"guess {n}", "password": OTHER}).status_code for n in range(12)]
    assert answers == [422] * 10 + [429] * 2
    assert signed_in.post(CHANGE, {"current": PASSWORD, "password": OTHER}).status_code == 429


def test_links_to_reset_end_with_a_change(signed_in: "Client", mail: Mailbox) -> None:
    browser().post("/account/forgotten", {"email": "ada@example.com"})
    code = mail.only().code
    signed_in.post(CHANGE, {"current": PASSWORD, "password": OTHER})
    assert browser().post("/account/link", {"code": code}).status_code == 422


def test_an_address_is_changed_by_a_link_and_the_old_one_is_told(
    signed_in: "Client", administrator: "Membership", mail: Mailbox
) -> None:
    sent = asked_for(signed_in, mail, f" {NEW.upper()} ").only()
    assert sent.to == NEW
    assert address_of(administrator) == ("ada@example.com", True)
    assert signed_in.post("/account/link", {"code": sent.code}).headers["Location"] == CONFIRM
    assert NEW in signed_in.get(CONFIRM).content.decode()
    assert address_of(administrator) == ("ada@example.com", True)
    assert signed_in.post(CONFIRM).headers["Location"] == "/account"
    assert address_of(administrator) == (NEW, True)
    assert (mail.last().to, "was changed" in mail.last().subject) == ("ada@example.com", True)
    assert sign_in(email="ada@example.com") is None
    assert sign_in(email=NEW) is not None
    assert [one for one in actions() if "email" in one or "address" in one] == [
        "person:request_address",
        "person:change_email",
    ]


def test_a_link_opened_before_signing_in_goes_on_after_it(signed_in: "Client", mail: Mailbox) -> None:
    code = asked_for(signed_in, mail).only().code
    elsewhere = browser()
    elsewhere.post("/account/link", {"code": code})
    elsewhere.post("/account/login/", {"login": "ada@example.com", "password": PASSWORD})
    assert NEW in elsewhere.get(CONFIRM).content.decode()


def test_nobody_vouches_for_another_ones_account(
    signed_in: "Client", administrator: "Membership", mail: Mailbox
) -> None:
    from keystead.server.identity.models import Person

    code = asked_for(signed_in, mail).only().code
    Person.objects.create_user("eve@example.com", PASSWORD, created_at=administrator.created_at)
    eve = sign_in(email="eve@example.com")
    assert eve is not None
    eve.post("/account/link", {"code": code})
    assert eve.get(CONFIRM).status_code == 403
    assert eve.post(CONFIRM).status_code == 403
    assert address_of(administrator) == ("ada@example.com", True)


def test_the_answer_does_not_say_whose_an_address_is_already(
    signed_in: "Client", administrator: "Membership", mail: Mailbox
) -> None:
    from keystead.server.identity.models import Person

    Person.objects.create_user("bo@example.com", PASSWORD, created_at=administrator.created_at)
    pages = {
        signed_in.post(ADDRESS, {"email": email, "current": PASSWORD}).content.decode().replace(email, "")
        for email in ("bo@example.com", "free@example.com")
    }
    assert len({page.split("<main", 1)[1] for page in pages}) == 1
    assert {one.to: "#code=" in one.text for one in mail.all()} == {"bo@example.com": False, "free@example.com": True}


def test_an_address_that_somebody_else_took_meanwhile(
    signed_in: "Client", administrator: "Membership", mail: Mailbox
) -> None:
    from keystead.server.identity.models import Person

    code = asked_for(signed_in, mail).only().code
    Person.objects.create_user(NEW, None, created_at=administrator.created_at)
    signed_in.post("/account/link", {"code": code})
    answer = signed_in.post(CONFIRM)
    assert answer.status_code == 409
    assert "belongs to another account" in answer.content.decode()
    assert address_of(administrator)[0] == "ada@example.com"


def test_the_address_one_has_is_verified_by_a_link(
    signed_in: "Client", administrator: "Membership", mail: Mailbox, clock: "FakeClock"
) -> None:
    type(administrator.person).objects.update(email_verified_at=None)
    assert "not verified" in signed_in.get("/account").content.decode()
    signed_in.post("/account/address/verify")
    signed_in.post("/account/link", {"code": mail.only().code})
    signed_in.post(CONFIRM)
    assert address_of(administrator) == ("ada@example.com", True)
    assert "not verified" not in signed_in.get("/account").content.decode()
    assert len(mail.all()) == 1, "nothing changed that the old address should hear of"


def test_a_link_to_an_address_ends_after_an_hour(
    signed_in: "Client", administrator: "Membership", mail: Mailbox, clock: "FakeClock"
) -> None:
    code = asked_for(signed_in, mail).only().code
    signed_in.post("/account/link", {"code": code})
    for _ in range(2):
        clock.advance(timedelta(minutes=30).total_seconds())
        signed_in.get("/account")
    assert signed_in.post(CONFIRM).status_code == 410
    assert address_of(administrator)[0] == "ada@example.com"


def test_addresses_are_not_asked_without_end(signed_in: "Client", mail: Mailbox) -> None:
    answers = [signed_in.post("/account/address/verify").status_code for _ in range(7)]
    assert answers == [200] * 5 + [429] * 2
    assert len(mail.all()) == 5


def without_password(member: "Membership") -> None:
    member.person.set_unusable_password()
    member.person.save()


def provisioned(member: "Membership") -> None:
    from keystead.server.scim.models import ScimToken, ScimUser

    at = member.created_at
    ScimToken.objects.create(
        organization=member.organization, digest=b"0" * 32, hint="ksp_", created_at=at, created_by=member
    )
    ScimUser.objects.create(membership=member, organization=member.organization, user_name="ada", modified_at=at)


@pytest.mark.parametrize(
    ("arrange", "says", "fixed"),
    [
        (without_password, "sign in through your organization", [CHANGE, ADDRESS]),
        (provisioned, "SCIM", [ADDRESS]),
    ],
)
def test_who_is_looked_after_elsewhere_changes_it_there(
    web: "Client", administrator: "Membership", mail: Mailbox, arrange: Any, says: str, fixed: list[str]
) -> None:
    arrange(administrator)
    web.force_login(administrator.person)
    assert says in web.get("/account").content.decode()
    for path in fixed:
        answer = web.post(path, {"email": NEW, "current": PASSWORD, "password": OTHER})
        assert answer.status_code == 403
        assert says in answer.content.decode()
    assert mail.all() == []


def test_nobody_walks_out_of_a_domain_that_policies_go_by(
    signed_in: "Client", administrator: "Membership", mail: Mailbox
) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.sso import domains

    before = asked_for(signed_in, mail).only().code
    domains.claim(administrator, "example.com", now())
    domains.attest("example.com", now())
    refused = signed_in.post(ADDRESS, {"email": NEW, "current": PASSWORD})
    assert refused.status_code == 422
    assert "owns the domain" in refused.content.decode()
    signed_in.post("/account/link", {"code": before})
    assert signed_in.post(CONFIRM).status_code == 410, "nor by a link that was asked for earlier"
    assert address_of(administrator)[0] == "ada@example.com"
    signed_in.post(ADDRESS, {"email": "ada.l@example.com", "current": PASSWORD})
    assert mail.last().to == "ada.l@example.com"


def test_the_gateway_hears_of_another_address(signed_in: "Client", administrator: "Membership", mail: Mailbox) -> None:
    from keystead.server.changes import CHANGES

    heard: list[str] = []
    code = asked_for(signed_in, mail).only().code
    signed_in.post("/account/link", {"code": code})
    stop = CHANGES.subscribe(lambda change: heard.append(change.subject))
    signed_in.post(CONFIRM)
    stop()
    assert "member_address" in heard
