"""A forgotten password: the same answer to everybody, a link that works once, and what ends with it."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from arrivals import Mailbox
from doors import OTHER, PASSWORD, actions, browser, is_signed_in, sign_in

from keystead.wire import ids

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.authorization.models import Grant
    from keystead.server.organizations.models import Membership
    from keystead.testing.clock import FakeClock

FORGOTTEN, LINK, RESET = "/account/forgotten", "/account/link", "/account/reset"

pytestmark = pytest.mark.usefixtures("mail")


def ask(email: str = "ada@example.com", **variables: str) -> str:
    """Return the answer, when what follows it is done too."""
    from keystead.server.errands import ERRANDS

    page = browser(**variables).post(FORGOTTEN, {"email": email}).content.decode()
    assert ERRANDS.drain()
    return page


def opened(code: str) -> "Client":
    visitor = browser()
    assert visitor.post(LINK, {"code": code}).headers["Location"] == RESET
    return visitor


def program(member: "Membership", label: str = "laptop") -> "Grant":
    from keystead.server.authorization import clients, sign_ins
    from keystead.server.authorization.surroundings import now

    approval = sign_ins.Approval(clients.find("keystead-cli"), member, "openid models:use")
    return sign_ins.begin(approval, label, now()).grant


def live(grant: "Grant") -> bool:
    from keystead.server.authorization import operations

    return operations.grant_is_live(ids.dump("grant", grant.id))


def test_a_forgotten_password_is_replaced_by_a_link(mail: Mailbox) -> None:
    ask("ADA@example.com ")
    sent = mail.only()
    assert sent.to == "ada@example.com"
    assert sent.link.startswith("http://127.0.0.1:8420/account/link#code=ksl_")
    visitor = opened(sent.code)
    assert visitor.post(RESET, {"password": OTHER}).headers["Location"] == "/account/reset/done"
    assert "Your password is changed" in visitor.get("/account/reset/done").content.decode()
    assert sign_in(PASSWORD) is None
    assert sign_in(OTHER) is not None
    assert mail.last().subject == "Your password for 127.0.0.1:8420 was changed"
    assert actions() == ["person:request_reset", "person:reset_password"]


def test_the_page_is_the_same_whoever_has_the_address(administrator: "Membership", mail: Mailbox) -> None:
    from keystead.server.identity.models import Person

    at = administrator.created_at
    Person.objects.create_user("sso@example.com", None, created_at=at)
    Person.objects.create_user("gone@example.com", PASSWORD, created_at=at, is_active=False)
    known = ["ada@example.com", "sso@example.com", "gone@example.com", "nobody@example.com"]
    assert len({ask(one).replace(one, "") for one in known}) == 1
    assert {(one.to, one.subject.split(" 127")[0]) for one in mail.all()} == {
        ("ada@example.com", "Choose a new password for"),
        ("sso@example.com", "You sign in to"),
    }


def test_the_page_looks_nobody_up(django_queries: Any, mail: Mailbox) -> None:
    """Whatever there is to do for an account that exists is done after the answer."""
    visitor = browser()
    with django_queries() as asked:
        visitor.post(FORGOTTEN, {"email": "ada@example.com"})
    assert [one["sql"] for one in asked if "identity_person" in one["sql"]] == []
    assert mail.only().to == "ada@example.com"


def test_who_signs_in_by_single_sign_on_is_told_so_and_gets_no_link(administrator: "Membership", mail: Mailbox) -> None:
    administrator.person.set_unusable_password()
    administrator.person.save()
    ask()
    assert "through your organization" in mail.only().text
    assert "#code=" not in mail.only().text


def test_a_link_works_once(mail: Mailbox) -> None:
    ask()
    code = mail.only().code
    first, second = opened(code), opened(code)
    first.post(RESET, {"password": OTHER})
    late = second.post(RESET, {"password": "another good one here"})
    assert (late.status_code, sign_in("another good one here")) == (410, None)
    assert "This link has been used" in browser().post(LINK, {"code": code}).content.decode()


def test_every_other_link_ends_with_a_change(mail: Mailbox) -> None:
    ask()
    ask()
    older, newer = (one.code for one in mail.all())
    opened(older).post(RESET, {"password": OTHER})
    assert browser().post(LINK, {"code": newer}).status_code == 422


def test_a_link_works_for_an_hour(mail: Mailbox, clock: "FakeClock") -> None:
    ask()
    visitor = opened(mail.only().code)
    clock.advance(timedelta(hours=1).total_seconds())
    assert visitor.post(RESET, {"password": OTHER}).status_code == 410
    assert "has expired" in browser().post(LINK, {"code": mail.only().code}).content.decode()
    assert sign_in(PASSWORD) is not None


def test_opening_a_link_uses_nothing_up(mail: Mailbox) -> None:
    """Mail scanners open links; some run the page's scripts."""
    ask()
    for _ in range(3):
        opened(mail.only().code).get(RESET)
    assert opened(mail.only().code).post(RESET, {"password": OTHER}).status_code == 302


@pytest.mark.parametrize("code", ["", "ksl_", "ksl_" + "0" * 49, "open sesame"])
def test_what_is_no_code_is_said_and_leads_nowhere(code: str) -> None:
    visitor = browser()
    assert visitor.post(LINK, {"code": code}).status_code == 422
    assert visitor.get(RESET).status_code == 410


def test_a_link_of_an_account_that_was_switched_off_since(administrator: "Membership", mail: Mailbox) -> None:
    ask()
    administrator.person.is_active = False
    administrator.person.save()
    assert browser().post(LINK, {"code": mail.only().code}).status_code == 422


def test_the_code_is_stored_as_its_hash_only_and_is_in_no_address(mail: Mailbox, database: Any) -> None:
    ask()
    code = mail.only().code
    page = opened(code).get(RESET)
    assert code not in page.content.decode()
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert code.encode() not in database.read_bytes() + database.with_name(f"{database.name}-wal").read_bytes()


def test_a_poor_password_is_refused_and_the_link_still_works(mail: Mailbox) -> None:
    ask()
    visitor = opened(mail.only().code)
    refused = visitor.post(RESET, {"password": "example-example-1"})
    assert refused.status_code == 422
    assert "belong to this place" in refused.content.decode()
    assert "example-example-1" not in refused.content.decode()
    assert visitor.post(RESET, {"password": OTHER}).status_code == 302


def test_all_browsers_are_signed_out(mail: Mailbox) -> None:
    before = sign_in()
    assert before is not None
    ask()
    opened(mail.last().code).post(RESET, {"password": OTHER})
    assert not is_signed_in(before)


@pytest.mark.parametrize("choice", [{"ends_sign_ins": "on"}, {}])
def test_programs_are_listed_and_end_unless_the_person_says_no(
    administrator: "Membership", mail: Mailbox, choice: dict[str, str]
) -> None:
    grants = [program(administrator, "laptop"), program(administrator, "<b>build</b>")]
    ask()
    visitor = opened(mail.only().code)
    page = visitor.get(RESET).content.decode()
    assert "laptop" in page
    assert "&lt;b&gt;build" in page
    assert 'name="ends_sign_ins" id="id_ends_sign_ins" checked' in page
    visitor.post(RESET, {"password": OTHER, **choice})
    assert [live(one) for one in grants] == [not choice] * 2
    assert ("signed out too: 2" in mail.last().text) == bool(choice)


def test_of_many_at_once_exactly_one_password_is_taken(mail: Mailbox) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connections

    ask()
    visitors = [opened(mail.only().code) for _ in range(6)]

    def choose(number: int) -> int:
        try:
            return visitors[number].post(RESET, {"password": f"{OTHER} {number}"}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(choose, range(6)))
    assert outcomes.count(302) == 1
    assert set(outcomes) <= {302, 410, 422}
    assert sign_in(f"{OTHER} {outcomes.index(302)}") is not None


def test_a_mailbox_is_not_filled_and_the_page_does_not_say_so(mail: Mailbox) -> None:
    pages = {ask() for _ in range(8)}
    assert len(mail.all()) == 5
    assert len(pages) == 1


def test_one_place_cannot_ask_for_everybody() -> None:
    answers = [browser().post(FORGOTTEN, {"email": f"p{number}@example.com"}).status_code for number in range(22)]
    assert answers == [200] * 20 + [429] * 2
    elsewhere = browser(REMOTE_ADDR="192.0.2.7").post(FORGOTTEN, {"email": "ada@example.com"})
    assert elsewhere.status_code == 200


def test_codes_are_not_guessed_without_end() -> None:
    visitor = browser()
    answers = [visitor.post(LINK, {"code": "ksl_no"}).status_code for _ in range(32)]
    assert answers == [422] * 30 + [429] * 2


def test_a_mailed_link_shows_that_the_address_is_theirs_and_one_from_the_machine_does_not(
    administrator: "Membership", mail: Mailbox
) -> None:
    from keystead.server.accounts import errands
    from keystead.server.authorization.surroundings import now

    person = administrator.person
    type(person).objects.update(email_verified_at=None)
    made = errands.reset_link("ada@example.com", now())
    opened(made.partition("#code=")[2]).post(RESET, {"password": OTHER})
    person.refresh_from_db()
    assert person.email_verified_at is None
    ask()
    opened(next(one for one in mail.all() if "#code=" in one.text).code).post(RESET, {"password": PASSWORD})
    person.refresh_from_db()
    assert person.email_verified_at is not None


def test_a_link_from_the_machine_is_written_down(mail: Mailbox) -> None:
    from keystead.errors import UsageError
    from keystead.server.accounts import errands
    from keystead.server.authorization.surroundings import now

    errands.reset_link(" Ada@example.com", now())
    assert actions() == ["person:make_reset_link"]
    assert mail.all() == []
    with pytest.raises(UsageError, match="No active account"):
        errands.reset_link("nobody@example.com", now())
