"""Who is switched off at the identity provider loses access at the next refresh; its silence ends nothing."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

import pytest
from forged_openid import ForgedProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keystead.server.sso.models import Identity

DAY = timedelta(days=1)
GIVEN = {"access_token": "at", "token_type": "Bearer"}


class Clock:
    """The machine's time, moved on as the test says: the tokens of the provider carry the real one."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> float:
        return (datetime.now(UTC) + self.ahead).timestamp()

    def monotonic(self) -> float:
        return self.now()

    def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock(migrated: object) -> "Iterator[Clock]":
    from django.core.cache import cache
    from django.test import override_settings

    clock = Clock()
    with override_settings(KEYSTEAD_CLOCK=clock):
        yield clock
    cache.clear()


class Agent:
    """An agent that was signed in by the person."""

    def __init__(self) -> None:
        from secrets import token_bytes

        from django.test import Client

        from keystead.server.authorization import clients, sign_ins
        from keystead.server.authorization.surroundings import now
        from keystead.server.organizations.models import Membership

        member = Membership.objects.select_related("person", "organization").get(person__email="grace@example.com")
        approval = sign_ins.Approval(clients.find("keystead-cli"), member, "openid models:use")
        redeemed = sign_ins.begin(approval, "laptop", now(), token_bytes)
        self.grant, self.token = redeemed.grant, str(redeemed.refresh_token)
        self.web = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")

    def refresh(self) -> tuple[int, dict[str, Any]]:
        form = {"grant_type": "refresh_token", "refresh_token": self.token}
        answer = self.web.post("/oauth/token", urlencode(form), content_type="application/x-www-form-urlencoded")
        body: dict[str, Any] = answer.json()
        self.token = body.get("refresh_token", self.token)
        return answer.status_code, body


@pytest.fixture
def agent(visit: Any, forged: ForgedProvider, clock: Clock) -> Agent:
    forged.refresh_token = "rt-1"
    assert visit.sign_in().status_code == 302
    return Agent()


def identity() -> "Identity":
    from keystead.server.sso.models import Identity

    return Identity.objects.select_related("connection").get()


def questions(forged: ForgedProvider) -> list[str]:
    """The refresh tokens that the identity provider was asked with."""
    forms = [parse_qs(asked.body) for asked in forged.server.asked if asked.path == "/token"]
    return [form["refresh_token"][0] for form in forms if form["grant_type"] == ["refresh_token"]]


def test_the_refresh_token_of_the_provider_rests_encrypted(agent: Agent) -> None:
    assert "rt-1" not in str(identity().__dict__)
    assert identity().sealed_refresh_token.count(".") == 4


def test_a_yes_is_asked_for_once_in_five_minutes(agent: Agent, forged: ForgedProvider, clock: Clock) -> None:
    forged.refresh = (200, "application/json", {**GIVEN, "refresh_token": "rt-2"})
    statuses = []
    for minutes in (1, 5, 1, 5):
        clock.ahead += timedelta(minutes=minutes)
        statuses.append(agent.refresh()[0])

    assert statuses == [200] * 4
    assert questions(forged) == ["rt-1", "rt-2"]


def test_a_provider_that_does_not_rotate_is_asked_with_the_same_token(
    agent: Agent, forged: ForgedProvider, clock: Clock
) -> None:
    forged.refresh = (200, "application/json", GIVEN)
    for _ in range(2):
        clock.ahead += timedelta(minutes=6)
        assert agent.refresh()[0] == 200

    assert questions(forged) == ["rt-1", "rt-1"]


@pytest.mark.parametrize("status", [400, 401])
def test_who_is_switched_off_there_is_refused_here(
    agent: Agent, forged: ForgedProvider, clock: Clock, status: int
) -> None:
    from keystead.server.audit.models import AuditEvent

    forged.refresh = (status, "application/json", {"error": "invalid_grant"})
    clock.ahead += timedelta(minutes=6)
    answer = agent.refresh()
    agent.grant.refresh_from_db()

    assert (answer[0], answer[1]["error"]) == (401, "invalid_grant")
    assert agent.grant.revoked_at is not None
    assert identity().sealed_refresh_token == ""
    assert AuditEvent.objects.filter(action="identity:refuse").count() == 1


def test_every_other_device_is_refused_without_asking_again(agent: Agent, forged: ForgedProvider, clock: Clock) -> None:
    other = Agent()
    clock.ahead += timedelta(minutes=6)

    assert [agent.refresh()[0], other.refresh()[0]] == [401, 401]
    assert questions(forged) == ["rt-1"]


def test_a_browser_that_stayed_open_begins_nothing_new(agent: Agent, visit: Any, clock: Clock) -> None:
    assert visit.browser.get("/keys").status_code == 200
    clock.ahead += timedelta(minutes=6)
    agent.refresh()
    later = Agent()

    assert visit.browser.get("/keys").status_code == 302
    assert later.refresh()[0] == 401


def test_a_new_sign_in_makes_them_welcome_again(agent: Agent, visit: Any, forged: ForgedProvider, clock: Clock) -> None:
    clock.ahead += timedelta(minutes=6)
    agent.refresh()
    forged.refresh = (200, "application/json", GIVEN)
    forged.said = {"iat": int(clock.now()), "exp": int(clock.now()) + 300}
    visit.sign_in()

    assert Agent().refresh()[0] == 200


SILENCE: list[Any] = [
    (500, "text/html", "<h1>maintenance</h1>"),
    (400, "text/html", "invalid_grant"),
    (401, "application/json", {"error": "invalid_client"}),
    (429, "application/json", {"error": "slow_down"}),
    (200, "text/html", "<h1>proxy</h1>"),
]


@pytest.mark.parametrize("answer", SILENCE)
def test_silence_ends_nothing_for_a_day_and_then_the_refresh_waits(
    agent: Agent, forged: ForgedProvider, clock: Clock, answer: Any
) -> None:
    from django.core.cache import cache

    forged.refresh = answer
    clock.ahead += timedelta(hours=23)
    assert agent.refresh()[0] == 200
    clock.ahead += timedelta(hours=2)
    cache.clear()
    status, body = agent.refresh()
    agent.grant.refresh_from_db()
    assert (status, body["error"]) == (503, "temporarily_unavailable")
    assert agent.grant.revoked_at is None
    forged.refresh = (200, "application/json", GIVEN)
    clock.ahead += timedelta(minutes=1)
    cache.clear()

    assert agent.refresh()[0] == 200


def test_a_silent_provider_is_left_alone_for_a_while(agent: Agent, forged: ForgedProvider, clock: Clock) -> None:
    forged.refresh = SILENCE[0]
    clock.ahead += timedelta(hours=1)
    for _ in range(3):
        assert agent.refresh()[0] == 200

    assert questions(forged) == ["rt-1"]


def test_one_process_asks_at_a_time(agent: Agent, forged: ForgedProvider, clock: Clock) -> None:
    """A refresh token of the provider that is used twice at once may cost the person their sign-in."""
    from keystead.server.authorization.surroundings import now
    from keystead.server.sso.models import Identity

    clock.ahead += timedelta(minutes=6)
    Identity.objects.update(asked_at=now())

    assert agent.refresh()[0] == 200
    assert questions(forged) == []


def test_without_a_refresh_token_a_sign_in_ends_after_twelve_hours(visit: Any, clock: Clock) -> None:
    visit.sign_in()
    agent = Agent()
    clock.ahead += timedelta(hours=11)
    assert agent.refresh()[0] == 200
    clock.ahead += timedelta(hours=2)

    assert agent.refresh()[0] == 401


def test_a_new_statement_carries_the_older_sign_ins_on(visit: Any, clock: Clock) -> None:
    from keystead.server.sso.models import Identity

    visit.sign_in()
    agent = Agent()
    clock.ahead += timedelta(hours=11)
    Identity.objects.update(valid_until=datetime.now(UTC) + DAY)
    clock.ahead += timedelta(hours=2)

    assert agent.refresh()[0] == 200


@pytest.mark.parametrize("how", ["switch", "delete"])
def test_a_connection_that_is_switched_off_ends_what_came_through_it(
    agent: Agent, visit: Any, administrator: Any, clock: Clock, how: str
) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.sso import connections

    if how == "switch":
        connections.switch(administrator, visit.connection, on=False, now=now())
    else:
        connections.delete(administrator, visit.connection, now())
    later = Agent()

    assert agent.refresh()[0] == 401
    assert later.refresh()[0] == 200
    assert visit.browser.get("/keys").status_code == 302, "the browser's session has ended"


def test_groups_of_the_provider_become_groups_here(visit: Any, forged: ForgedProvider) -> None:
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import Group, GroupSource, Membership

    at = visit.connection.created_at
    organization = visit.connection.organization
    groups.create(organization, "leads", source=GroupSource.CONSOLE, actor="system", now=at)
    forged.said = {"groups": ["engineers", "leads", "x" * 300, "new\nline"]}
    visit.sign_in()
    member = Membership.objects.get(person__email="grace@example.com")
    assert [group.name for group in member.groups.all()] == ["engineers"]
    assert Group.objects.get(name="engineers").source == "sso"
    forged.said = {"groups": []}
    visit.sign_in()

    assert list(member.groups.all()) == []


def test_a_membership_that_was_ended_stays_ended(visit: Any) -> None:
    from keystead.server.organizations import memberships
    from keystead.server.organizations.models import Membership

    visit.sign_in()
    member = Membership.objects.get(person__email="grace@example.com")
    memberships.deactivate(member, "system", "left", visit.connection.created_at)

    assert visit.sign_in().status_code == 403
