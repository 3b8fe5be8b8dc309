"""An offline logout: nothing usable stays here, and the server is told at the next occasion (R-16)."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Login
from keystead.errors import ServerUnreachable
from keystead.secret import Secret
from keystead.stores.revocations import Revocations
from keystead.testing.clock import FakeClock
from keystead.wire.http import Response

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

pytestmark = pytest.mark.requirement("R-16 queued")
GONE = ServerUnreachable("The server is gone.")
DONE = Response(200, {}, b"")


@pytest.fixture
def login(login: Login) -> Login:
    """The sign-in of before, with its ticket."""
    tokens = login.tokens
    return replace(
        login,
        tokens=replace(tokens, revocation_ticket=Secret("canary-ticket"), revocable_until=tokens.issued_at + 86400),
    )


@pytest.fixture
def offline(machine: "Machine", login: Login) -> "Machine":
    """A machine that was signed out while its server could not be reached."""
    machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/revoke", GONE)
    outcome = machine.run("logout")
    assert outcome.code == 0, outcome.err
    machine.issuer.transport.requests.clear()
    return machine


def queue(machine: "Machine") -> Revocations:
    return Revocations(machine.surroundings.environment.state_dir, machine.surroundings.clock)


def test_an_offline_logout_leaves_the_ticket_alone_and_says_so(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/revoke", GONE)

    listed = json.loads(machine.run("logout", "--json").out)

    (ended,) = listed["ended"]
    assert (ended["revocation"], ended["queued"]) == ("not_revoked", True)
    assert "a ticket that can only revoke" in ended["message"]
    assert "keystead logout --pending" in ended["message"]
    files = b"".join(file.read_bytes() for file in machine.surroundings.environment.state_dir.rglob("*.json"))
    assert (b"canary-old" in files, b"canary-ticket" in files) == (False, True)


def test_a_logout_that_was_heard_or_was_to_stay_here_queues_nothing(machine: "Machine", login: Login) -> None:
    for options in ([], ["--local"]):
        machine.surroundings.store.save(login)
        assert '"queued": false' in machine.run("logout", "--json", *options).out
    assert queue(machine).pending() == ()


def test_pending_sends_the_ticket_and_forgets_it(offline: "Machine") -> None:
    offline.issuer.answer("POST /oauth/revoke", DONE)

    outcome = offline.run("logout", "--pending")

    assert outcome.code == 0
    assert "An earlier sign-in of old@example.com to https://keys.example.com is now revoked there too." in outcome.out
    (request,) = offline.issuer.transport.requests
    assert request.form == {
        "token": Secret("canary-ticket"),
        "token_type_hint": "revocation_ticket",
        "client_id": "keystead-cli",
    }
    assert queue(offline).pending() == ()
    assert "has reached its server" in offline.run("logout", "--pending").out
    assert len(offline.issuer.transport.requests) == 1


@pytest.mark.parametrize("answer", [GONE, Response(503, {}, b""), Response(302, {"location": "https://portal"}, b"")])
def test_what_is_still_not_revoked_stays_queued(offline: "Machine", answer: Response | Exception) -> None:
    offline.issuer.answer("POST /oauth/revoke", answer)

    outcome = offline.run("logout", "--pending", "--json")

    assert outcome.code == 75
    (one,) = json.loads(outcome.out)["pending"]
    assert one["revocation"] == "not_revoked"
    assert "It ends by itself on" in one["message"]
    assert len(queue(offline).pending()) == 1


def test_the_next_login_there_sends_it(offline: "Machine") -> None:
    offline.issuer.answer("POST /oauth/revoke", DONE)

    outcome = offline.run("login", "--server", "https://keys.example.com")

    assert outcome.code == 0
    assert "is now revoked there too" in " ".join(outcome.err.split())
    assert offline.issuer.revoked == ["canary-ticket"]


def test_status_sends_it_only_with_verify(offline: "Machine") -> None:
    offline.issuer.answer("POST /oauth/revoke", DONE)

    offline.run("status")
    assert offline.issuer.revoked == []
    assert "is now revoked there too" in " ".join(offline.run("status", "--verify").out.split())
    assert offline.issuer.revoked == ["canary-ticket"]


def test_the_next_logout_that_is_heard_sends_it(offline: "Machine", login: Login) -> None:
    offline.surroundings.store.save(replace(login, tokens=replace(login.tokens, revocation_ticket=Secret("other"))))
    offline.issuer.answer("POST /oauth/revoke", DONE)

    assert json.loads(offline.run("logout", "--json").out)["caught_up"] == [
        "An earlier sign-in of old@example.com to https://keys.example.com is now revoked there too."
    ]
    assert offline.issuer.revoked == ["canary-old-refresh", "canary-old-access", "canary-ticket"]


def test_the_doctor_names_it_until_it_has_ended_by_itself(offline: "Machine", clock: FakeClock) -> None:
    said = " ".join(offline.run("doctor", "--only", "state").out.split())
    assert (
        "a sign-in of old@example.com to https://keys.example.com was ended here and not on its server" in said.lower()
    )
    assert "Run: keystead logout --pending" in said

    clock.advance(86400)
    assert "ended here" not in offline.run("doctor", "--only", "state").out


def test_a_damaged_queue_stops_no_logout_and_is_said(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    queue(machine).path.write_text("{")
    queue(machine).path.chmod(0o600)
    machine.issuer.answer("POST /oauth/revoke", GONE)

    outcome = machine.run("logout")

    assert (outcome.code, machine.surroundings.store.load(login.kind)) == (0, None)
    assert "could not be noted for later either" in outcome.out
    assert machine.run("doctor", "--only", "state").code == 78
    assert machine.run("logout", "--pending").code == 78


def test_pending_stands_alone(machine: "Machine") -> None:
    assert machine.run("logout", "--pending", "--local").code == 2
