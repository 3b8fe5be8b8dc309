"""The direct way to the token endpoint: one answer whichever way it goes, on each database, many at a time."""

import json
import sqlite3
from typing import Any

import pytest
from direct_way import FORM, HOST, Got, Sent, asked_at_once

CROWD = 40


@pytest.fixture
def sign_ins(administrator: Any) -> list[str]:
    """Return the refresh tokens of as many sign-ins as can be asked for at once."""
    from keystead.server.authorization import clients, sign_ins
    from keystead.server.authorization.surroundings import now

    approval = sign_ins.Approval(clients.find("keystead-cli"), administrator, "openid offline_access")
    begun = [sign_ins.begin(approval, "", now()).refresh_token for _ in range(CROWD)]
    return [token for token in begun if token is not None]


def refresh(token: str) -> Sent:
    return Sent("/oauth/token", {"grant_type": "refresh_token", "client_id": "keystead-cli", "refresh_token": token})


def said(got: Got) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(got.body)
    return answer


def the_other_way(sent: Sent) -> Got:
    """Return what the whole of Django's stack answers to the same request."""
    from django.test import Client

    headers = {name: value for name, value in (("user-agent", "tests"), *sent.more) if name != "content-type"}
    kind = dict(sent.more).get("content-type", FORM)
    web = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")
    response = web.post(sent.path, sent.body, content_type=kind, headers=headers)
    return Got(response.status_code, {name.lower(): value for name, value in response.items()}, response.content)


@pytest.mark.parametrize(
    "sent",
    [
        Sent("/oauth/token"),
        Sent("/oauth/token", {"grant_type": "magic"}),
        Sent("/oauth/token", {"grant_type": "refresh_token", "refresh_token": "ksr_nothing"}),
        Sent("/oauth/token", {"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "x"}),
        Sent("/oauth/token", {"grant_type": "client_credentials"}, (("authorization", "Basic !"),)),
        Sent("/oauth/token", {"grant_type": "refresh_token"}, (("dpop", "not a proof"),)),
        Sent("/oauth/token", {"grant_type": "refresh_token"}, (("content-type", "text/plain"),)),
        Sent("/v1/oauth/token", {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"}),
        Sent("/oauth/introspect", {"token": "x"}),
        Sent("/oauth/revoke", {"token": "x"}),
        Sent("/oauth/revoke", {"token": "x", "client_id": "nobody"}),
    ],
)
def test_both_ways_give_the_same_answer(administrator: Any, sent: Sent) -> None:
    direct, ordinary = asked_at_once([sent])[0], the_other_way(sent)
    assert (direct.status, direct.body) == (ordinary.status, ordinary.body)
    assert direct.headers == ordinary.headers


@pytest.mark.parametrize(
    "sent",
    [
        Sent("/oauth/token", method="GET"),
        Sent("/oauth/authorize"),
        Sent("/oauth/token", more=(("host", "evil.example"),)),
        Sent("/oauth/token", more=(("content-length", "32769"),)),
        Sent("/oauth/token", more=(("content-length", "x"),)),
        Sent("/oauth/token", more=(("transfer-encoding", "chunked"),)),
        Sent("/oauth/token", more=(("authorization", "Basic YTpi"), ("authorization", "Basic YTpj"))),
        Sent("/oauth/token", more=(("host", HOST), ("host", "evil.example"))),
    ],
)
def test_what_is_not_ordinary_goes_the_other_way(database: None, sent: Sent) -> None:
    assert asked_at_once([sent])[0].status == 299


def test_many_sign_ins_are_renewed_at_once_each_with_its_own(sign_ins: list[str]) -> None:
    from keystead.server.authorization.models import RefreshToken
    from keystead.wire import tokens

    answers = asked_at_once([refresh(token) for token in sign_ins])
    assert [answer.status for answer in answers] == [200] * CROWD
    following = [said(answer)["refresh_token"] for answer in answers]
    assert len(set(following)) == CROWD
    for before, after in zip(sign_ins, following, strict=True):
        old, new = (RefreshToken.objects.get(digest=tokens.digest(one)) for one in (before, after))
        assert old.grant_id == new.grant_id
        assert old.used_at is not None
        assert new.used_at is None


def test_one_token_used_by_many_at_once_has_one_successor(sign_ins: list[str]) -> None:
    from keystead.server.authorization.models import RefreshToken

    answers = asked_at_once([refresh(sign_ins[0])] * CROWD)
    assert {answer.status for answer in answers} == {200}
    assert len({said(answer)["refresh_token"] for answer in answers}) == 1
    assert RefreshToken.objects.filter(generation=2).count() == 1


def test_a_reuse_among_others_ends_its_family_and_no_other(sign_ins: list[str]) -> None:
    from datetime import timedelta

    from django.db.models import F

    from keystead.server.audit.models import AuditEvent
    from keystead.server.authorization.models import Grant, RefreshToken

    successor = said(asked_at_once([refresh(sign_ins[0])])[0])["refresh_token"]
    RefreshToken.objects.exclude(used_at=None).update(used_at=F("used_at") - timedelta(minutes=1))
    answers = asked_at_once([refresh(sign_ins[1]), refresh(sign_ins[0]), refresh(sign_ins[2])])
    assert [answer.status for answer in answers] == [200, 401, 200]
    assert asked_at_once([refresh(successor)])[0].status == 401
    assert Grant.objects.exclude(revoked_at=None).count() == 1
    assert AuditEvent.objects.filter(action="grant:revoke").count() == 1


def test_an_answer_is_in_the_database_before_it_leaves(
    sign_ins: list[str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Whoever looks from outside when an answer is handed over finds what it says."""
    from django.db import connection

    from keystead.server.site import lanes
    from keystead.wire import tokens

    if connection.vendor != "sqlite":
        pytest.skip("only SQLite answers many in one transaction")
    name, found = str(connection.settings_dict["NAME"]), []
    deliver = lanes._deliver

    def look(replies: Any) -> None:
        with sqlite3.connect(name) as outside:
            for _, reply in replies:
                digest = tokens.digest(json.loads(reply.body)["refresh_token"])
                query = "SELECT count(*) FROM authorization_refreshtoken WHERE digest = ?"
                found.append(outside.execute(query, [digest]).fetchone()[0])
        outside.close()
        deliver(replies)

    monkeypatch.setattr(lanes, "_deliver", look)
    asked_at_once([refresh(token) for token in sign_ins])
    assert found == [1] * CROWD


def test_whoever_is_vouched_for_by_somebody_else_is_asked_about_and_the_others_are_answered(
    administrator: Any, sign_ins: list[str]
) -> None:
    """Without the question to the identity provider, its no would not be heard."""
    from keystead.server.authorization import clients
    from keystead.server.authorization import sign_ins as life
    from keystead.server.authorization.surroundings import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role
    from keystead.server.sso.models import Connection, Identity

    organization, at = administrator.organization, now()
    bo = Person.objects.create(email="bo@example.com", created_at=at)
    member = organizations.add_member(organization, bo, Role.DEVELOPER, at)
    connection = Connection.objects.create(organization=organization, kind="oidc", name="IdP", created_at=at)
    identity = Identity.objects.create(
        connection=connection, person=bo, subject="1", email=bo.email, created_at=at, confirmed_at=at
    )
    token = life.begin(life.Approval(clients.find("keystead-cli"), member, "openid offline_access"), "", at)
    assert token.refresh_token is not None
    answers = asked_at_once([refresh(sign_ins[0]), refresh(token.refresh_token), refresh(sign_ins[1])])
    assert [answer.status for answer in answers] == [200, 200, 200]
    Identity.objects.filter(pk=identity.pk).update(refused_at=at)
    following = said(answers[1])["refresh_token"]
    answers = asked_at_once([refresh(sign_ins[2]), refresh(following), refresh(sign_ins[3])])
    assert [answer.status for answer in answers] == [200, 401, 200]
    token.grant.refresh_from_db()
    assert token.grant.revoked_at is not None
