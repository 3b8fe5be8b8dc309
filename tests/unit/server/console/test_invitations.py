"""Inviting and accepting, page by page: the link is shown once, and whoever comes with it is told where they stand."""

import html
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest

from keystead.server.organizations.roles import Role

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.identity.models import Person
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
EMAIL = "grace@example.com"


@pytest.fixture
def signed_in(web: "Client", administrator: "Membership") -> "Client":
    web.force_login(administrator.person)
    return web


@pytest.fixture
def visitor() -> "Client":
    """Another browser."""
    from django.test import Client

    return Client(SERVER_NAME="127.0.0.1")


def code_in(page: str) -> str:
    found = re.search(r"/invitation#code=(ksv_\w{49})", page)
    assert found is not None
    return found[1]


def invited(by: "Membership", email: str = EMAIL, now: datetime | None = None) -> str:
    """Return the code of a new invitation."""
    from keystead.server.people import invitations

    maker = invitations.Maker(by.organization, by, False, token_bytes)
    made = invitations.invite(maker, email, Role.DEVELOPER, [], now or datetime.now(UTC))
    return made.code.reveal()


def shown(response: Any) -> str:
    return html.unescape(response.content.decode())


def enter(visitor: "Client", code: str) -> str:
    """Come with the link; returns the page one ends at."""
    return shown(visitor.post("/invitation", {"code": code}, follow=True))


def somebody(email: str = EMAIL) -> "Person":
    from keystead.server.identity.models import Person

    return Person.objects.create_user(email, PASSWORD, name="Grace", created_at=NOW)


def test_the_link_is_on_the_answer_and_on_no_other_page(signed_in: "Client", visitor: "Client") -> None:
    made = signed_in.post("/members/invitations", {"email": EMAIL, "role": "developer"})
    code = code_in(shown(made))
    listed = shown(signed_in.get("/members/invitations"))
    assert EMAIL in listed
    assert code not in listed
    assert "No mail server is set up, so you hand it on yourself." in listed
    assert f"You will sign in as <strong>{EMAIL}" in enter(visitor, code)


def test_a_newcomer_is_in_at_once(administrator: "Membership", visitor: "Client") -> None:
    page = enter(visitor, invited(administrator))
    assert "Join Example" in page
    assert "Ada invites you as developer" in page
    wrong = visitor.post("/invitation/accept", {"name": "Grace", "password": "short"})
    assert (wrong.status_code, "fewer than 12" in shown(wrong)) == (422, True)
    assert PASSWORD not in shown(wrong)
    answer = visitor.post("/invitation/accept", {"name": "Grace", "password": PASSWORD}, follow=True)
    assert EMAIL in shown(answer)
    assert answer.redirect_chain == [("/", 302)]
    assert visitor.get("/invitation/accept").headers["Location"] == "/invitation", "the browser forgot the code"


def test_what_is_wrong_with_a_code_is_on_one_page(administrator: "Membership", visitor: "Client") -> None:
    from keystead.server.organizations.models import Invitation
    from keystead.server.people import invitations

    expired = invited(administrator, "a@example.com", datetime.now(UTC) - timedelta(days=8))
    revoked, used = invited(administrator, "b@example.com"), invited(administrator, "c@example.com")
    invitations.revoke(administrator, Invitation.objects.get(email="b@example.com"), datetime.now(UTC))
    enter(visitor, used)
    visitor.post("/invitation/accept", {"name": "C", "password": PASSWORD})
    visitor.logout()
    answers = {
        code: visitor.post("/invitation", {"code": code})
        for code in (expired, revoked, used, "ksv_" + "0" * 49, "nonsense", used[:-1])
    }
    assert {answer.status_code for answer in answers.values()} == {403}
    titles = [re.search("<h1>(.*)</h1>", shown(answer)) for answer in answers.values()]
    assert [found and found[1] for found in titles] == [
        "This invitation has expired.",
        "This invitation has been withdrawn.",
        "This invitation has been used.",
        *(["This is not an invitation of this server."] * 3),
    ]
    token = re.compile('name="csrfmiddlewaretoken" value="[^"]*"')
    assert len({token.sub("", shown(answer)) for answer in list(answers.values())[3:]}) == 1


def test_too_many_wrong_codes_pause_the_address_and_no_other(administrator: "Membership", visitor: "Client") -> None:
    from django.test import Client

    code = invited(administrator)
    answers = [visitor.post("/invitation", {"code": "nonsense"}).status_code for _ in range(11)]
    assert answers == [403] * 10 + [429]
    paused = visitor.post("/invitation", {"code": code})
    assert (paused.status_code, "Wait ten minutes." in shown(paused)) == (429, True)
    other = Client(SERVER_NAME="127.0.0.1", REMOTE_ADDR="192.0.2.7")
    assert other.post("/invitation", {"code": code}).status_code == 302


def test_somebody_known_signs_in_and_is_led_back(administrator: "Membership", visitor: "Client") -> None:
    somebody()
    page = enter(visitor, invited(administrator))
    assert "You have an account here already." in page
    found = re.search(r'href="(/account/login/[^"]+)"', page)
    assert found is not None
    form = shown(visitor.get(found[1]))
    assert f'value="{EMAIL}"' in form
    typed = {"login": EMAIL, "password": PASSWORD, "next": "/invitation/accept"}
    question = visitor.post("/account/login/", typed, follow=True)
    assert "Join Example?" in shown(question)
    assert "Example" in shown(visitor.post("/invitation/accept", follow=True))


def test_a_newcomer_cannot_set_the_password_of_somebody_known(administrator: "Membership", visitor: "Client") -> None:
    person = somebody()
    enter(visitor, invited(administrator))
    visitor.post("/invitation/accept", {"name": "Mallory", "password": "another long enough one"})
    person.refresh_from_db()
    assert (person.name, person.check_password(PASSWORD), person.memberships.count()) == ("Grace", True, 0)


def test_somebody_else_is_told_so_and_nothing_happens(administrator: "Membership", visitor: "Client") -> None:
    visitor.force_login(somebody("x@example.com"))
    page = enter(visitor, invited(administrator))
    assert "You are signed in as x@example.com, and it is for <strong>grace@example.com" in page
    assert visitor.post("/invitation/accept").status_code == 403
    assert shown(visitor.get("/")).count("You belong to no organization") > 0


def test_who_acts_elsewhere_is_told_that_this_comes_second(administrator: "Membership", visitor: "Client") -> None:
    from keystead.server.organizations import operations

    person = somebody()
    operations.add_member(operations.create_organization("Elsewhere", NOW), person, Role.ADMIN, NOW)
    visitor.force_login(person)
    assert "You go on acting for Elsewhere here" in enter(visitor, invited(administrator))


def test_who_has_single_sign_on_is_led_there(administrator: "Membership", visitor: "Client") -> None:
    from keystead.server.sso.models import Connection, Domain

    there = administrator.organization
    Connection.objects.create(organization=there, kind="oidc", name="C", created_at=NOW, enabled_at=NOW)
    Domain.objects.create(organization=there, name="example.com", challenge="c", created_at=NOW, verified_at=NOW)
    page = enter(visitor, invited(administrator))
    assert "People with your address sign in with their organization." in page
    assert 'href="/sso?next=%2Finvitation%2Faccept' in page
    refused = visitor.post("/invitation/accept", {"name": "Grace", "password": PASSWORD})
    assert "Sign in with your organization" in shown(refused)


def test_an_invitation_is_renewed_and_revoked(signed_in: "Client", administrator: "Membership") -> None:
    from django.test import Client

    from keystead.server.organizations.models import Invitation

    first = invited(administrator)
    wire_id = Invitation.objects.get().wire_id
    second = code_in(shown(signed_in.post(f"/members/invitations/{wire_id}/renew")))
    visitor = Client(SERVER_NAME="127.0.0.1")
    assert "not an invitation" in enter(visitor, first)
    assert "Join Example" in enter(visitor, second)
    assert signed_in.post(f"/members/invitations/{wire_id}/revoke").headers["Location"] == "/members/invitations"
    assert "has been withdrawn" in shown(visitor.post("/invitation/accept", {"name": "G", "password": PASSWORD}))
    for act in ("renew", "revoke"):
        assert signed_in.post(f"/members/invitations/{wire_id}/{act}").status_code == 404
        assert signed_in.get(f"/members/invitations/{wire_id}/{act}").status_code == 405


def test_where_mail_is_sent_the_letter_has_a_link_of_its_own(
    signed_in: "Client", visitor: "Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from django.conf import settings
    from django.test import override_settings

    from keystead.server.identity import letters
    from keystead.server.identity.models import Person

    sent: list[Any] = []
    monkeypatch.setattr(letters, "post", sent.append)
    there = replace(settings.KEYSTEAD, mail_url="smtps://mail.example.com", mail_from="keystead@example.com")
    with override_settings(KEYSTEAD=there):
        made = shown(signed_in.post("/members/invitations", {"email": EMAIL, "role": "developer"}))
    (letter,) = sent
    mailed = code_in(letter.text)
    assert (letter.to, mailed != code_in(made)) == (EMAIL, True)
    assert "Example" not in letter.text
    assert "Ada" not in letter.text, "it names nobody and nothing that a stranger typed"
    assert "is on its way" in made
    enter(visitor, mailed)
    visitor.post("/invitation/accept", {"name": "Grace", "password": PASSWORD})
    assert Person.objects.get(email=EMAIL).email_verified_at is not None


@pytest.mark.parametrize(
    ("form", "field"), [({"email": "x", "role": "admin"}, "email"), ({"email": EMAIL, "role": "owner"}, "role")]
)
def test_a_wrong_field_is_marked(signed_in: "Client", form: dict[str, str], field: str) -> None:
    response = signed_in.post("/members/invitations", form)
    assert (response.status_code, f'id="id_{field}_error"' in shown(response)) == (422, True)


@pytest.mark.parametrize("role", ["developer", "billing"])
def test_only_administrators_invite(signed_in: "Client", administrator: "Membership", role: str) -> None:
    administrator.role = role
    administrator.save()
    answers = [signed_in.get("/members/invitations"), signed_in.post("/members/invitations", {"email": EMAIL})]
    assert [one.status_code for one in answers] == [403, 403]


def test_accepting_takes_a_form_of_ours(administrator: "Membership", database: Path) -> None:
    from django.test import Client

    strict = Client(enforce_csrf_checks=True, SERVER_NAME="127.0.0.1")
    assert strict.post("/invitation", {"code": invited(administrator)}).status_code == 403
