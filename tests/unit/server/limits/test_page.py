"""The page about limits."""

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

    for subject, _ in whom(administrator):
        for measure, period in WHAT:
            answer = ada.post("/limits", {"whom": subject, "amount": "7", "what": f"{measure}|{period}"})
            assert answer.status_code == 302, answer.content
    assert Limit.objects.count() == len(WHAT) * len(whom(administrator))
    assert ada.get("/limits").status_code == 200


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
