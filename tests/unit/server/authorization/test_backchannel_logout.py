"""A client hears that a sign-in of it has ended, once, whatever ended it: over HTTP, from a real server."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from people import Person
from portals import OPENER, Portal, a_member_is_removed, at_the_revocation_endpoint, claims, outcomes, register, tell
from relying_party import Session

import peers


def in_the_console(portal: Portal, session: Session, _: dict[str, Any]) -> None:
    person = Person(portal.base)
    account = {"login": "ada@example.com", "password": "correct horse battery"}
    person.fill(*person.open(f"{portal.base}/account/login/"), account)
    person.fill(*person.open(f"{portal.base}/devices/{session.sid}/sign-out"), {})


def by_reuse(portal: Portal, _: Session, tokens: dict[str, Any]) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert "access_token" in portal.post("/oauth/token", **form)
    portal.clock.sleep(60)
    assert portal.post("/oauth/token", **form)["error"] == "invalid_grant"


def with_the_client(portal: Portal, _: Session, __: dict[str, Any]) -> None:
    from keystead.server.authorization import registry
    from keystead.server.authorization.surroundings import now

    client = registry.find(portal.member, portal.proof["client_id"])
    assert client is not None
    assert registry.disable(client, portal.member, now())


@pytest.mark.requirement("openid-backchannel 2.4", "openid-backchannel 2.5", "openid-backchannel 2.6")
@pytest.mark.parametrize("end", [in_the_console, at_the_revocation_endpoint, by_reuse, with_the_client])
def test_the_client_is_told_once_however_a_sign_in_is_ended(portal: Portal, end: Callable[..., None]) -> None:
    session, tokens = portal.sign_in()
    other, _ = portal.sign_in()
    tell()
    assert portal.party.all() == [], "nothing has ended"
    end(portal, session, tokens)
    tell()
    told = portal.party.all()
    assert {claims(token)["sid"] for token in told} - {other.sid} == {session.sid}
    portal.is_told(session, next(token for token in told if claims(token)["sid"] == session.sid))
    (asked, *_) = portal.party.asked
    assert asked[:2] == ("POST", "/logout?tenant=1")
    assert not {"cookie", "authorization"} & asked[2]
    assert outcomes()[0] == ("logout:deliver", {"client": portal.proof["client_id"], "tries": 1})
    portal.clock.sleep(3600)
    tell()
    assert portal.party.all() == []


def a_person_is_switched_off(_: Portal, member: Any) -> None:
    member.person.is_active = False
    member.person.save()


def it_is_not_renewed(portal: Portal, _: Any) -> None:
    portal.clock.sleep(timedelta(days=30, seconds=1).total_seconds())


def it_is_over(portal: Portal, _: Any) -> None:
    from keystead.server.authorization.models import Grant, RefreshToken

    last = Grant.objects.get().expires_at
    RefreshToken.objects.update(expires_at=last + timedelta(days=1))
    portal.clock.time = last.timestamp()


@pytest.mark.requirement("openid-backchannel 2.5")
@pytest.mark.parametrize("happens", [a_member_is_removed, a_person_is_switched_off, it_is_not_renewed, it_is_over])
def test_an_end_that_nobody_asked_for_is_found_and_told_once(
    portal: Portal, colleague: Any, happens: Callable[..., None]
) -> None:
    session, _ = portal.sign_in(colleague)
    tell()
    assert portal.party.all() == []
    happens(portal, colleague)
    assert tell()
    portal.is_told(session)
    assert not tell()
    assert portal.party.all() == []


def test_what_was_told_by_housekeeping_is_not_told_again_when_it_is_ended(portal: Portal, colleague: Any) -> None:
    session, tokens = portal.sign_in(colleague)
    a_member_is_removed(portal, colleague)
    tell()
    portal.is_told(session)
    at_the_revocation_endpoint(portal, session, tokens)
    tell()
    assert portal.party.all() == []


def without_an_address(portal: Portal) -> dict[str, str]:
    portal.proof = register(portal.member, "")
    return {}


def without_openid(_: Portal) -> dict[str, str]:
    return {"scope": "profile offline_access"}


@pytest.mark.parametrize("who", [without_an_address, without_openid])
def test_who_has_no_address_or_got_no_id_token_is_not_told(portal: Portal, who: Callable[..., dict[str, str]]) -> None:
    from keystead.server.authorization.models import LogoutNotice

    session, tokens = portal.sign_in(**who(portal))
    at_the_revocation_endpoint(portal, session, tokens)
    assert not LogoutNotice.objects.exists()
    tell()
    assert portal.party.all() == []


def test_the_notice_comes_and_goes_with_the_transaction_of_the_end(portal: Portal) -> None:
    from django.db import transaction

    from keystead.server.authorization import sign_ins
    from keystead.server.authorization.models import LogoutNotice
    from keystead.server.authorization.surroundings import now

    session, tokens = portal.sign_in()
    grant = sign_ins.of_wire_id(session.sid)
    assert grant is not None
    with transaction.atomic():
        assert sign_ins.end(grant, "system", "test", now())
        assert LogoutNotice.objects.count() == 1
        transaction.set_rollback(True)
    assert LogoutNotice.objects.count() == 0
    at_the_revocation_endpoint(portal, session, tokens)
    assert LogoutNotice.objects.count() == 1


def test_a_notice_outlives_its_sign_in(portal: Portal) -> None:
    from keystead.server.authorization.models import Grant
    from keystead.server.authorization.surroundings import now
    from keystead.server.authorization.sweep import sweep

    session, tokens = portal.sign_in()
    at_the_revocation_endpoint(portal, session, tokens)
    portal.clock.sleep(timedelta(days=31).total_seconds())
    sweep(now())
    assert not Grant.objects.exists()
    tell()
    portal.is_told(session)


@pytest.mark.requirement("openid-backchannel 2.6")
def test_another_library_takes_the_token(portal: Portal) -> None:
    from keystead.server.authorization.models import Client

    told = {"issuer": portal.base, "client_id": portal.proof["client_id"], "now": portal.clock.now()}
    with peers.serving("logout_receiver", **told) as peer:
        address = peer["address"]
        Client.objects.filter(client_id=portal.proof["client_id"]).update(backchannel_logout_uri=address)
        session, tokens = portal.sign_in()
        at_the_revocation_endpoint(portal, session, tokens)
        tell()
        with OPENER.open(address, timeout=60) as answer:
            seen = json.loads(answer.read())
    assert seen == [{"sub": session.subject, "sid": session.sid}]
    assert [action for action, _ in outcomes()] == ["logout:deliver"]


@pytest.mark.requirement("openid-backchannel 2.1")
def test_discovery_says_so(portal: Portal) -> None:
    with OPENER.open(f"{portal.base}/.well-known/openid-configuration", timeout=60) as answer:
        document = json.loads(answer.read())
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
    assert "sid" in document["claims_supported"]


def test_a_logout_token_is_no_other_token(portal: Portal) -> None:
    session, tokens = portal.sign_in()
    _, living = portal.sign_in()
    at_the_revocation_endpoint(portal, session, tokens)
    tell()
    token = portal.party.next()
    assert portal.post("/oauth/introspect", token=token) == {"active": False}
    assert portal.post("/oauth/revoke", token=token) == {}
    assert portal.post("/oauth/introspect", token=living["access_token"])["active"] is True
