import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Login
from keystead.errors import ServerUnreachable
from keystead.testing.clock import FakeClock
from keystead.testing.transport import json_response
from keystead.wire import tokens

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

BASE = "https://keys.example.com"


def test_the_token_stands_alone_on_one_line(machine: "Machine") -> None:
    machine.set(ANTHROPIC_API_KEY="the-key")

    outcome = machine.run("token")

    assert (outcome.code, outcome.out, outcome.err) == (0, "the-key\n", "")


def test_a_due_sign_in_is_renewed_first(machine: "Machine", login: Login, clock: FakeClock) -> None:
    machine.surroundings.store.save(login)
    clock.advance(3600)

    assert machine.run("token").out == "canary-new-access\n"
    assert machine.run("token").out == "canary-new-access\n"
    assert len(machine.issuer.transport.requests) == 1


def test_json_says_where_and_how_long(machine: "Machine", login: Login, clock: FakeClock) -> None:
    machine.surroundings.store.save(login)

    document = json.loads(machine.run("token", "--json").out)

    assert document == {
        "schema": "keystead.token/1",
        "token": "canary-old-access",
        "header": "authorization",
        "api_base": "https://keys.example.com",
        "source": "gateway_session",
        "expires_at": clock.now() + 3600,
    }


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_without_credential_nothing_that_looks_like_a_token_is_printed(
    machine: "Machine", flags: tuple[str, ...]
) -> None:
    outcome = machine.run("token", *flags)

    assert outcome.code == 4
    assert ("error" in json.loads(outcome.out)) if flags else outcome.out == ""


def test_an_ended_session_asks_for_a_new_sign_in(machine: "Machine", login: Login, clock: FakeClock) -> None:
    machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/token", json_response(401, {"error": "invalid_grant"}))
    clock.advance(3600)

    outcome = machine.run("token")

    assert (outcome.code, outcome.out) == (4, "")
    assert "keystead login" in outcome.err


def test_an_unreachable_server_costs_nothing(machine: "Machine", login: Login, clock: FakeClock) -> None:
    saved = machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/token", ServerUnreachable("gone"))
    clock.advance(3600)

    assert machine.run("token").code == 75
    assert machine.surroundings.store.load(login.kind) == replace(saved)


def test_a_cloud_cannot_be_printed_as_a_token(machine: "Machine") -> None:
    machine.set(CLAUDE_CODE_USE_BEDROCK="1", AWS_PROFILE="x")

    outcome = machine.run("token")

    assert (outcome.code, outcome.out) == (78, "")
    assert "Bedrock" in outcome.err


@pytest.mark.requirement("R-11 notice")
@pytest.mark.parametrize("watched", [True, False])
def test_a_slow_helper_is_announced_to_a_person_only(machine: "Machine", watched: bool) -> None:
    """On a terminal's standard error, with the time so far; a script's error output stays empty."""
    told: list[str] = []

    class Hasty(FakeClock):
        """A second passes whenever somebody looks."""

        def monotonic(self) -> float:
            self.advance(1)
            return super().monotonic()

    machine.user_settings('{"apiKeyHelper": "sleep 300"}')
    environment = replace(machine.surroundings.environment, stderr_tty=watched)
    machine.change(environment=environment, clock=Hasty(), to_terminal=told.append)

    assert machine.run("token").code == 78
    assert bool(told) is watched
    assert all("apiKeyHelper (~/.claude/settings.json:1) is taking a while (1" in one for one in told[:1])


@pytest.mark.requirement("R-12 mask")
def test_a_job_s_log_is_told_to_hide_the_token_first(machine: "Machine") -> None:
    machine.set(ANTHROPIC_API_KEY="the-key", GITHUB_ACTIONS="true")

    outcome = machine.run("token", "--mask")

    assert (outcome.code, outcome.out, outcome.err) == (0, "the-key\n", "::add-mask::the-key\n")


@pytest.mark.requirement("R-12 mask")
def test_outside_a_job_nothing_is_printed_that_nobody_would_hide(machine: "Machine") -> None:
    machine.set(ANTHROPIC_API_KEY="the-key")

    outcome = machine.run("token", "--mask")

    assert outcome.code == 2
    assert "the-key" not in outcome.out + outcome.err


@pytest.mark.requirement("R-12 truncated")
@pytest.mark.parametrize("length", [10, 52])
def test_a_truncated_token_of_ours_is_named_before_it_is_sent(machine: "Machine", length: int) -> None:
    key = tokens.mint(tokens.TokenKind.API_KEY, secrets.token_bytes)[:length]
    machine.set(ANTHROPIC_API_KEY=key, ANTHROPIC_BASE_URL=BASE)

    outcome = machine.run("token")

    assert outcome.code == 78
    assert f"truncated at character {length}" in outcome.err
    assert key not in outcome.out + outcome.err
    assert machine.issuer.transport.requests == []


@pytest.mark.requirement("R-12 no terminal")
@pytest.mark.parametrize("command", [("token",), ("run", "--", "true"), ("-p", "hello"), ("whoami",)])
def test_without_a_terminal_and_a_credential_a_command_ends_instead_of_asking(
    machine: "Machine", command: tuple[str, ...]
) -> None:
    outcome = machine.run(*command)

    assert outcome.code == 4
    assert "keystead login" in outcome.err
    assert machine.issuer.transport.requests == []
