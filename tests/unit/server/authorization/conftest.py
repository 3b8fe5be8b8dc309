"""A clock that moves only when told, and the two sides of a sign-in: a person's browser, and a program."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import control_plane
import portals
import pytest
import relying_party

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ORIGIN = "http://127.0.0.1:8420"


class MovableClock:
    """The time, as the test says."""

    def __init__(self) -> None:
        self.time = START.timestamp()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock(migrated: object) -> Iterator[MovableClock]:
    from django.test import override_settings

    clock = MovableClock()
    with override_settings(KEYSTEAD_CLOCK=clock):
        yield clock


@dataclass
class Program:
    """A client without a browser: posts forms, gets JSON."""

    web: "Client"

    def post(self, path: str, **form: str) -> tuple[int, dict[str, Any]]:
        response = self.web.post(path, urlencode(form), content_type="application/x-www-form-urlencoded")
        return response.status_code, response.json()

    def token(self, **form: str) -> tuple[int, dict[str, Any]]:
        return self.post("/oauth/token", **form)


@pytest.fixture
def program(database: object, clock: MovableClock) -> Program:
    from django.test import Client

    return Program(Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420"))


@pytest.fixture
def browser(administrator: "Membership", clock: MovableClock) -> "Client":
    """Ada's browser, signed in, sending what browsers send with a form of the same page."""
    from django.test import Client

    client = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420", headers={"origin": ORIGIN})
    client.force_login(administrator.person)
    return client


@pytest.fixture
def portal(administrator: "Membership", clock: MovableClock) -> Iterator[portals.Portal]:
    """A program that hears of ended sign-ins, and a server of its own for it."""
    with control_plane.serving() as base, relying_party.running() as party:
        yield portals.Portal(base, administrator, party, clock, portals.register(administrator, party.address))


@pytest.fixture
def colleague(administrator: "Membership", clock: MovableClock) -> "Membership":
    from keystead.server.authorization.surroundings import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("bo@example.com", None, created_at=now())
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, now())
