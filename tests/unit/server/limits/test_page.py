"""The page about limits."""

import re
from secrets import token_bytes
from typing import TYPE_CHECKING

import pytest

from keystead.wire import ids

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership


@pytest.fixture
def ada(web: "Client", administrator: "Membership") -> "Client":
    web.force_login(administrator.person)
    return web


def test_a_limit_is_set_shown_changed_and_removed(ada: "Client", administrator: "Membership") -> None:
    from keystead.server.limits.models import Limit

    seat = f"user|{ids.dump('membership', administrator.pk)}|each"
    assert "There is no limit yet" in ada.get("/limits").content.decode()
    for amount in ("12.50", "13"):
        answer = ada.post("/limits", {"whom": seat, "amount": amount, "what": "spend|monthly"})
        assert (answer.status_code, answer["location"]) == (302, "/limits")
    limit = Limit.objects.get()
    assert limit.amount == 13_000_000
    page = ada.get("/limits").content.decode()
    assert "ada@example.com" in page
    assert "$13.00" in page or "13.00" in page
    assert "Remove this limit?" in ada.get(f"/limits/{limit.wire_id}/remove").content.decode()
    ada.post(f"/limits/{limit.wire_id}/remove")
    assert not Limit.objects.exists()
    assert ada.get(f"/limits/{limit.wire_id}/remove").status_code == 404


def test_every_choice_of_the_form_can_be_set(ada: "Client", administrator: "Membership") -> None:
    from keystead.server.console.limits import WHAT, whom
    from keystead.server.limits.models import Limit
    from keystead.server.policy.limits import Measure

    subjects = [subject for subject, _ in whom(administrator.organization)]
    people = [one for one in subjects if one.endswith("|each")]
    wanted = [(one, *what) for what in WHAT for one in (people if what[0] is Measure.ALLOWANCE else subjects)]
    for subject, measure, period in wanted:
        answer = ada.post("/limits", {"whom": subject, "amount": "7", "what": f"{measure}|{period}"})
        assert answer.status_code == 302, answer.content
    assert Limit.objects.count() == len(wanted)
    assert ada.get("/limits").status_code == 200


@pytest.mark.requirement("S-25 allowance")
def test_a_flat_rate_is_set_and_says_what_comes_beyond_it(ada: "Client") -> None:
    from keystead.server.limits.models import Limit

    wanted = {"whom": "organization||each", "amount": "5", "what": "allowance|five_hours", "beyond": "metered"}
    assert ada.post("/limits", wanted).status_code == 302
    limit = Limit.objects.get()
    assert (limit.measure, limit.beyond, limit.amount) == ("allowance", "metered", 5_000_000)
    page = ada.get("/limits").content.decode()
    assert page.count("USD of a flat rate in 5 hours, then metered") == 3  # limit, button, member


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"whom": "organization||shared", "what": "allowance|five_hours"}, "whom", "an allowance is for people, each"),
        ({"what": "spend|daily", "beyond": "metered"}, "beyond", "only an allowance can be metered beyond"),
    ],
)
def test_what_cannot_be_together_is_said_at_its_field(
    ada: "Client", wrong: dict[str, str], field: str, words: str
) -> None:
    answer = ada.post("/limits", {"whom": "organization||each", "amount": "5"} | wrong)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in page
    assert words in page


@pytest.mark.parametrize(("amount", "what"), [("x", "spend|daily"), ("1.5", "requests|minute"), ("-1", "spend|daily")])
def test_an_amount_that_is_none_is_said_at_its_field(ada: "Client", amount: str, what: str) -> None:
    answer = ada.post("/limits", {"whom": "organization||each", "amount": amount, "what": what})
    assert answer.status_code == 422
    assert 'id="id_amount_error"' in answer.content.decode()


@pytest.mark.requirement("G-08 limits")
def test_a_developer_sees_no_limits_of_others(web: "Client", administrator: "Membership") -> None:
    from keystead.server.organizations.models import Membership

    Membership.objects.filter(pk=administrator.pk).update(role="developer")
    web.force_login(administrator.person)
    assert web.get("/limits").status_code == 403
    assert web.post("/limits", {"whom": "organization||each", "amount": "1", "what": "spend|daily"}).status_code == 403


def test_what_holds_is_shown_page_by_page(
    ada: "Client", administrator: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.console import limits
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    monkeypatch.setattr(limits, "MOST_SEATS", 2)
    joined = administrator.person.created_at
    for number in range(4):
        person = Person.objects.create_user(f"p{number}@example.com", None, created_at=joined)
        operations.add_member(administrator.organization, person, Role.DEVELOPER, joined)
    ada.post("/limits", {"whom": "organization||each", "amount": "5", "what": "spend|monthly", "beyond": "stopped"})
    seen, address = list[str](), "/limits"
    for shown in ("1 to 2 of 5", "3 to 4 of 5", "5 to 5 of 5"):
        page = ada.get(address).content.decode()
        assert shown in page
        table = page.partition('id="holds"')[2]
        seen += re.findall(r'<th scope="rowgroup" rowspan="1">([^<]+)</th>', table)
        following = re.search(r'href="(\?from=\d+)#holds" rel="next"', table)
        address = f"/limits{following[1]}" if following else ""
    assert address == ""
    assert len(seen) == len(set(seen)) == 5
    for odd in ("0", "6", "-1", "x", "9" * 30, "٣"):
        assert "1 to 2 of 5" in ada.get("/limits", {"from": odd}).content.decode()


def test_where_there_are_many_one_person_or_key_is_typed(
    ada: "Client", administrator: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.console import limits
    from keystead.server.keys import operations
    from keystead.server.limits.models import Limit

    given = {"whom": "organization||each", "amount": "5", "what": "spend|monthly", "beyond": "stopped"}
    assert 'name="one"' not in ada.get("/limits").content.decode()
    joined = administrator.person.created_at
    key, _ = operations.issue(administrator, "laptop", now=joined, random_bytes=token_bytes)
    monkeypatch.setattr(limits, "MOST_NAMED", 0)
    page = ada.get("/limits").content.decode()
    assert 'name="one"' in page
    assert 'value="user|' not in page
    for odd in ("nobody@example.com", "key_0", "x"):
        answer = ada.post("/limits", given | {"one": odd})
        assert answer.status_code == 422
        assert "Nobody here has that address" in answer.content.decode()
    assert ada.post("/limits", given | {"one": administrator.person.email.upper()}).status_code == 302
    (limit,) = Limit.objects.all()
    assert (limit.scope, limit.subject) == ("user", administrator.pk)
    assert ada.post("/limits", given | {"one": key.wire_id}).status_code == 302
    assert Limit.objects.filter(scope="api_key", subject=key.pk, shared=True).exists()
    table = ada.get("/limits").content.decode().partition("<tbody>")[2]
    assert f'<th scope="row">{administrator.person.email}</th>' in table
    assert f'<th scope="row">Key laptop of {administrator.person.email}</th>' in table
