"""The browsers one is signed in with: what is listed, what ends, and that the database holds no cookie."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from doors import PASSWORD, actions, browser, is_signed_in, sign_in

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership
    from keystead.testing.clock import FakeClock

PAGE = "/account/sessions"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML) Chrome/126.0 Safari/537.36 Edg/126.0"

pytestmark = pytest.mark.usefixtures("administrator")


def entered(user_agent: str = FIREFOX, address: str = "192.0.2.7") -> "Client":
    visitor = sign_in(HTTP_USER_AGENT=user_agent, REMOTE_ADDR=address)
    assert visitor is not None
    return visitor


def ids_of(visitor: "Client") -> list[str]:
    import re

    return re.findall(r"/account/sessions/(brs_\w+)/end", visitor.get(PAGE).content.decode())


def test_each_browser_is_listed_with_what_it_is_and_where() -> None:
    mine, _ = entered(FIREFOX, "192.0.2.7"), entered(EDGE, "2001:db8::7")
    page = mine.get(PAGE).content.decode()
    for expected in ("Firefox on Linux", "192.0.2.7", "Edge on Windows", "2001:db8::7", "this browser"):
        assert page.count(expected) >= 1
    assert len(ids_of(mine)) == 1, "one does not end the browser one looks with here; signing out does"


def test_one_is_ended_and_the_others_go_on() -> None:
    mine, other, third = entered(), entered(EDGE), entered("curl/8")
    for one in ids_of(mine)[:1]:
        mine.post(f"{PAGE}/{one}/end")
    assert is_signed_in(mine)
    assert sorted([is_signed_in(other), is_signed_in(third)]) == [False, True]
    assert actions() == ["browser_session:end"]


def test_all_others_are_ended() -> None:
    mine, others = entered(), [entered(EDGE), entered(EDGE)]
    assert mine.post(f"{PAGE}/others/end").headers["Location"] == PAGE
    assert is_signed_in(mine)
    assert not any(is_signed_in(one) for one in others)
    assert actions() == ["browser_session:end"] * 2


@pytest.mark.parametrize("wire_id", ["nonsense", "brs_" + "0" * 32])
def test_one_that_is_not_there_is_no_error(wire_id: str) -> None:
    mine = entered()
    assert mine.post(f"{PAGE}/{wire_id}/end").headers["Location"] == PAGE
    assert is_signed_in(mine)


def test_nobody_ends_anothers(administrator: "Membership") -> None:
    from keystead.server.identity.models import BrowserSession, Person
    from keystead.wire import ids

    mine = entered()
    Person.objects.create_user("eve@example.com", PASSWORD, created_at=administrator.created_at)
    eve = sign_in(email="eve@example.com")
    assert eve is not None
    theirs = BrowserSession.objects.get(person=administrator.person)
    eve.post(f"{PAGE}/{ids.dump('browser_session', theirs.public_id)}/end")
    eve.post(f"{PAGE}/others/end")
    assert is_signed_in(mine)
    assert "Firefox" not in eve.get(PAGE).content.decode()


def test_ending_takes_a_form_of_ours(administrator: "Membership") -> None:
    from django.test import Client

    strict = Client(enforce_csrf_checks=True, SERVER_NAME="127.0.0.1")
    strict.force_login(administrator.person)
    other = entered()
    assert strict.post(f"{PAGE}/others/end").status_code == 403
    assert is_signed_in(other)


def test_signing_out_takes_it_off_the_list() -> None:
    mine, other = entered(), entered(EDGE)
    other.post("/account/logout/")
    assert ids_of(mine) == []


def test_the_database_holds_no_cookie(database: Any) -> None:
    mine = entered()
    cookie = mine.cookies["sessionid"].value
    stored = database.read_bytes() + database.with_name(f"{database.name}-wal").read_bytes()
    assert b"Firefox" in stored
    assert cookie.encode() not in stored


def test_the_stored_hash_opens_no_session(administrator: "Membership") -> None:
    from keystead.server.identity.models import BrowserSession

    entered()
    thief = browser()
    thief.cookies["sessionid"] = BrowserSession.objects.get(person=administrator.person).session_key
    assert not is_signed_in(thief)


def test_last_seen_is_written_once_in_a_while(administrator: "Membership", django_queries: Any) -> None:
    from keystead.server.identity.models import BrowserSession

    mine = entered(address="192.0.2.7")
    rows = BrowserSession.objects.filter(person=administrator.person)
    with django_queries() as asked:
        mine.get("/account")
    assert [one["sql"] for one in asked if one["sql"].startswith("UPDATE")] == []
    before = rows.get().last_seen_at
    assert before is not None
    rows.update(last_seen_at=before - timedelta(minutes=11))
    mine.get("/account", REMOTE_ADDR="198.51.100.9")
    found = rows.get()
    assert found.last_seen_at is not None
    assert found.last_seen_at >= before
    assert found.address == "198.51.100.9"


def test_ended_sessions_are_swept(administrator: "Membership") -> None:
    from keystead.server.authorization.sweep import sweep
    from keystead.server.identity.models import BrowserSession

    entered()
    ends = BrowserSession.objects.get(person=administrator.person).expire_date
    assert sweep(ends - timedelta(seconds=1))["browser_sessions"] == 0
    assert sweep(ends + timedelta(seconds=1))["browser_sessions"] == 1


def passes(clock: "FakeClock", **span: int) -> None:
    clock.advance(timedelta(**span).total_seconds())


def test_a_browser_that_is_not_used_for_an_hour_is_signed_out(clock: "FakeClock") -> None:
    mine = entered()
    passes(clock, minutes=59)
    assert is_signed_in(mine)
    passes(clock, minutes=60)
    assert not is_signed_in(mine)


def test_a_browser_that_is_used_all_day_is_signed_out_in_the_evening(clock: "FakeClock") -> None:
    mine = entered()
    for _ in range(23):
        passes(clock, minutes=30)
        assert is_signed_in(mine)
        mine.post("/account/sessions/nonsense/end")
    passes(clock, minutes=30)
    assert not is_signed_in(mine)


def test_writing_to_a_session_does_not_move_its_end(administrator: "Membership", clock: "FakeClock") -> None:
    from keystead.server.identity.models import BrowserSession

    mine = entered()
    rows = BrowserSession.objects.filter(person=administrator.person)
    end = rows.get().expire_date
    passes(clock, minutes=20)
    session = mine.session
    session["something"] = "new"
    session.save()
    found = rows.get()
    assert found.expire_date == end
    assert found.last_seen_at is not None
    assert end - found.last_seen_at == timedelta(hours=11, minutes=40)


def test_the_operator_chooses_both_ends(clock: "FakeClock") -> None:
    from django.conf import settings
    from django.test import override_settings

    shorter = replace(settings.KEYSTEAD, browser_session_hours=1, browser_session_idle_minutes=10)
    with override_settings(KEYSTEAD=shorter):
        idle, used = entered(), entered()
        for _ in range(6):
            passes(clock, minutes=9)
            assert is_signed_in(used)
        assert not is_signed_in(idle)
        passes(clock, minutes=6)
        assert not is_signed_in(used)


def test_the_list_says_when_each_ends_and_leaves_out_those_that_did(clock: "FakeClock") -> None:
    from datetime import UTC, datetime

    mine, _ = entered(FIREFOX), entered(EDGE)
    page = mine.get(PAGE).content.decode()
    end = datetime.fromtimestamp(clock.now(), UTC) + timedelta(hours=1)
    assert page.count(f"{end:%Y-%m-%d %H:%M}") == 2
    assert "12 hours after its sign-in, or 60 minutes after" in page
    passes(clock, minutes=31)
    mine.get(PAGE)
    passes(clock, minutes=31)
    assert "Edge" not in mine.get(PAGE).content.decode()


def test_ending_another_browser_asks_who_is_there(clock: "FakeClock") -> None:
    mine, other = entered(), entered(EDGE)
    passes(clock, minutes=11)
    (one,) = ids_of(mine)
    for address in (f"{PAGE}/{one}/end", f"{PAGE}/others/end"):
        assert mine.post(address).status_code == 403
    assert is_signed_in(other)
    mine.post(f"{PAGE}/others/end", {"confirm": "password", "confirm_password": PASSWORD})
    assert not is_signed_in(other)


def test_signing_out_ends_the_session_on_the_server() -> None:
    mine, thief = entered(), browser()
    thief.cookies["sessionid"] = mine.cookies["sessionid"].value
    assert is_signed_in(thief)
    mine.post("/account/logout/")
    assert not is_signed_in(thief)


def test_signing_in_and_confirming_take_a_new_cookie_and_end_the_old_one(clock: "FakeClock") -> None:
    mine, thief = browser(), browser()
    mine.get("/sso/")
    mine.post("/account/link", {"code": "ksl_nonsense"})
    before = mine.session.session_key or ""
    mine.post("/account/login/", {"login": "ada@example.com", "password": PASSWORD})
    signed_in = mine.cookies["sessionid"].value
    assert signed_in != before
    passes(clock, minutes=11)
    mine.post("/keys", {"confirm": "password", "confirm_password": PASSWORD})
    assert mine.cookies["sessionid"].value != signed_in
    assert is_signed_in(mine)
    thief.cookies["sessionid"] = signed_in
    assert not is_signed_in(thief)


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (EDGE, "Edge on Windows"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1 (KHTML) Version/17.4 Safari/605.1",
            "Safari on macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1 CriOS/126.0 Mobile Safari/604.1",
            "Chrome on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537",
            "Chrome on Android",
        ),
        ("<script>alert(1)</script>", "Another browser"),
        ("", "Another browser"),
    ],
)
def test_a_browser_is_named_in_words(user_agent: str, words: str) -> None:
    from keystead.server.identity.browsers import described

    assert described(user_agent) == words
