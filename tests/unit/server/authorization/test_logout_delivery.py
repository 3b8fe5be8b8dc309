"""Logout tokens on their way: clients that are down, hang, refuse or lead elsewhere, and servers in a race."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import relying_party
from portals import Portal, a_member_is_removed, at_the_revocation_endpoint, claims, outcomes, register, tell
from races import together


@pytest.mark.requirement("openid-backchannel 2.8")
def test_a_client_that_is_down_is_told_when_it_is_up(portal: Portal) -> None:
    with relying_party.running() as gone:
        portal.proof = register(portal.member, gone.address)
    session, tokens = portal.sign_in()
    at_the_revocation_endpoint(portal, session, tokens)
    tell()
    portal.clock.sleep(29)
    tell()
    portal.clock.sleep(1)
    tell()
    assert outcomes() == []
    with relying_party.running(gone.port) as back:
        portal.clock.sleep(119)
        tell()
        assert back.all() == [], "the pauses grow"
        portal.clock.sleep(1)
        tell()
        portal.is_told(session, back.next())
    assert outcomes() == [("logout:deliver", {"client": portal.proof["client_id"], "tries": 3})]


@pytest.mark.requirement("openid-backchannel 2.8")
@pytest.mark.parametrize(("status", "said"), [(400, "It refused the logout token."), (500, "status 500"), (202, "202")])
def test_a_client_that_never_takes_it_is_given_up_within_an_hour(
    portal: Portal, caplog: pytest.LogCaptureFixture, status: int, said: str
) -> None:
    from keystead.server.authorization.models import LogoutNotice

    portal.party.status = status
    session, tokens = portal.sign_in()
    at_the_revocation_endpoint(portal, session, tokens)
    for _ in range(60):
        tell()
        portal.clock.sleep(60)
    told = portal.party.all()
    assert len(told) == 6
    assert len({claims(token)["jti"] for token in told}) == 6, "a replay would be refused for that alone"
    ((action, details),) = outcomes()
    assert (action, details["tries"]) == ("logout:give_up", 6)
    assert said in details["reason"]
    assert not LogoutNotice.objects.exists()
    assert said in caplog.text
    assert not any(token in caplog.text or token in str(details) for token in told)


def test_a_client_that_hangs_is_left_and_holds_nobody_up(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    from keystead.server import outbound

    monkeypatch.setattr(outbound, "DEADLINE", 2.0)
    with relying_party.running() as slow:
        slow.go_on.clear()
        prompt, portal.proof = portal.proof, register(portal.member, slow.address)
        hanging, tokens = portal.sign_in()
        at_the_revocation_endpoint(portal, hanging, tokens)
        portal.proof = prompt
        session, tokens = portal.sign_in()
        at_the_revocation_endpoint(portal, session, tokens)
        tell()
        portal.is_told(session)
        assert slow.next()
        assert [action for action, _ in outcomes()] == ["logout:deliver"]
        slow.go_on.set()
        portal.clock.sleep(30)
        tell()
        portal.is_told(hanging, slow.next())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_leads_nowhere(portal: Portal, caplog: pytest.LogCaptureFixture, status: int) -> None:
    with relying_party.running() as trap:
        portal.party.status = status
        session, tokens = portal.sign_in()
        for location in ("http://169.254.169.254/latest/meta-data/", trap.address):
            portal.party.location = location
            at_the_revocation_endpoint(portal, session, tokens)
            tell()
            portal.clock.sleep(30)
        assert len(portal.party.asked) == 2
        assert trap.asked == []
    assert caplog.text.count(f"It answered with status {status}.") == 2


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://169.254.169.254/logout", "of this server's own link or cloud, which is never asked"),
        ("https://10.0.0.1/logout", "inside this server's own network"),
        ("https://[::1]/", "inside this server's own network"),
    ],
)
def test_an_address_inside_is_not_asked(
    portal: Portal, caplog: pytest.LogCaptureFixture, address: str, reason: str
) -> None:
    from django.conf import settings
    from django.test import override_settings

    portal.proof = register(portal.member, address)
    session, tokens = portal.sign_in()
    at_the_revocation_endpoint(portal, session, tokens)
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, public_url="https://keys.example.com")):
        tell()
    assert reason in caplog.text
    assert outcomes() == []


@pytest.mark.parametrize("end", [at_the_revocation_endpoint, None])
def test_of_many_rounds_at_once_one_sends(portal: Portal, colleague: Any, end: Callable[..., None] | None) -> None:
    sessions = [portal.sign_in(colleague) for _ in range(3)]
    for session, tokens in sessions if end else ():
        assert end is not None
        end(portal, session, tokens)
    if end is None:
        a_member_is_removed(portal, colleague)
    together(lambda _: tell())
    told = {claims(token)["sid"]: token for token in portal.party.all()}
    assert len(portal.party.asked) == 3
    for session, _ in sessions:
        portal.is_told(session, told[session.sid])
    assert [action for action, _ in outcomes()] == ["logout:deliver"] * 3


def test_a_server_that_ends_in_the_middle_of_a_try_loses_nothing(portal: Portal) -> None:
    from keystead.server.authorization import logout_delivery
    from keystead.server.authorization.models import LogoutNotice
    from keystead.server.authorization.surroundings import now

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    session, tokens = portal.sign_in()
    at_the_revocation_endpoint(portal, session, tokens)
    with pytest.raises(KeyboardInterrupt):
        logout_delivery.tell(now(), killed)
    portal.clock.sleep(30)
    tell()
    portal.is_told(session)

    session, tokens = portal.sign_in()
    at_the_revocation_endpoint(portal, session, tokens)
    LogoutNotice.objects.update(tries=logout_delivery.TRIES)
    tell()
    assert portal.party.all() == []
    assert outcomes()[-1][0] == "logout:give_up"


def test_one_organization_has_a_few_places_in_a_round(portal: Portal) -> None:
    from keystead.server.authorization import logout_delivery

    for _ in range(logout_delivery.PER_ORGANIZATION + 1):
        at_the_revocation_endpoint(portal, *portal.sign_in())
    assert tell()
    assert len(portal.party.asked) == logout_delivery.PER_ORGANIZATION
    assert tell()
    assert len(portal.party.asked) == logout_delivery.PER_ORGANIZATION + 1
    assert not tell()


@pytest.mark.parametrize("how", ["request", "member"])
def test_a_running_server_tells_at_once_and_not_in_the_request(portal: Portal, colleague: Any, how: str) -> None:
    from keystead.server.telling import telling

    session, tokens = portal.sign_in(colleague)
    with telling(portal.clock):
        portal.party.go_on.clear()
        if how == "request":
            at_the_revocation_endpoint(portal, session, tokens)
        else:
            a_member_is_removed(portal, colleague)
        portal.is_told(session)
        assert outcomes() == [], "the request was answered, the client has not answered yet"
        portal.party.go_on.set()
    assert [action for action, _ in outcomes()] == ["logout:deliver"]
