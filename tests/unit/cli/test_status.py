import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keystead.cli.paper import Paper
from keystead.cli.status import lines
from keystead.credentials import Account, Login, LoginKind
from keystead.sources import SOURCES
from keystead.testing.clock import FakeClock

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine


def test_a_bare_machine_has_none_and_is_told_what_to_do(machine: "Machine") -> None:
    outcome = machine.run("status")

    assert outcome.code == 4
    assert "No credential can be used" in outcome.out
    assert "keystead login" in outcome.out
    assert all(source.title in outcome.out for source in SOURCES)


def test_a_sign_in_is_shown_with_all_that_is_known(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.set(ANTHROPIC_API_KEY="canary-key")

    outcome = machine.run("status")

    assert outcome.code == 0
    for part in (
        "Gateway session is used",
        "~/.keystead/credentials.json",
        "old@example.com",
        "Old Ltd",
        "Old Ltd, through https://keys.example.com",
        "gateway",
        "in 1 hour",
        "present",
        "ANTHROPIC_API_KEY is set; Gateway session comes first",
        "would bill as metered",
    ):
        assert part in " ".join(outcome.out.split())
    assert "verified" not in outcome.out
    assert "canary" not in outcome.out


def test_an_expired_sign_in_is_called_expired(machine: "Machine", login: Login, clock: FakeClock) -> None:
    machine.surroundings.store.save(login)
    clock.advance(3600 * 25)

    outcome = machine.run("status")

    assert outcome.code == 0
    assert "expired; it is renewed when it is used next" in outcome.out
    assert "1 day ago" in outcome.out


def test_a_test_upstream_is_said_plainly(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(replace(login, upstream="test"))

    assert "not a model" in machine.run("status").out


def test_the_place_of_a_setting_is_a_file_and_a_line(machine: "Machine") -> None:
    machine.user_settings('{\n  "env": {\n    "ANTHROPIC_API_KEY": "canary-key"\n  }\n}\n')

    outcome = machine.run("status")

    assert outcome.code == 0
    assert "~/.claude/settings.json:3" in outcome.out


def test_a_broken_place_is_an_error_with_its_line(machine: "Machine") -> None:
    machine.user_settings('{\n  "env": [\n')

    outcome = machine.run("status")

    assert outcome.code == 78
    assert "~/.claude/settings.json:" in outcome.out


def test_status_sends_writes_and_runs_nothing(machine: "Machine") -> None:
    witness = machine.surroundings.environment.home / "helper-ran"
    machine.user_settings(json.dumps({"apiKeyHelper": f"touch {witness}; echo key"}))

    outcome = machine.run("status")

    assert "API key helper is used" in outcome.out
    assert not witness.exists()
    assert not machine.surroundings.environment.state_dir.exists()
    assert machine.issuer.transport.requests == []


def test_json_has_a_schema_and_every_place(machine: "Machine", login: Login, clock: FakeClock) -> None:
    machine.surroundings.store.save(login)

    outcome = machine.run("status", "--json")
    document = json.loads(outcome.out)

    assert outcome.code == document["exit_code"] == 0
    assert document["schema"] == "keystead.status/1"
    assert document["usable"] is True
    assert [place["source"] for place in document["considered"]] == [source.id for source in SOURCES]
    winner = document["winner"]
    assert winner["source"] == "gateway_session"
    assert winner["account"]["organization"] == {"id": "org_0", "name": "Old Ltd"}
    assert winner["expires_at"] == clock.now() + 3600
    assert winner["expires_in"] == 3600
    assert winner["freshness"] == "present"
    assert "canary" not in outcome.out


def test_json_of_a_bare_machine_carries_the_error(machine: "Machine") -> None:
    outcome = machine.run("status", "--json")
    document = json.loads(outcome.out)

    assert outcome.code == document["exit_code"] == 4
    assert document["winner"] is None
    assert document["error"]["code"] == "no_credential"
    assert {place["freshness"] for place in document["considered"]} == {"absent"}


@pytest.mark.parametrize("width", [40, 80, 100])
def test_every_line_fits_the_paper(machine: "Machine", login: Login, clock: FakeClock, width: int) -> None:
    account = Account("per_0", "somebody.with.a.long.name@example.com", "Some Body", "org_0", "Example Ltd")
    machine.surroundings.store.save(replace(login, account=account, upstream="test"))
    machine.set(ANTHROPIC_API_KEY="k", CLAUDE_CODE_USE_BEDROCK="1", CLAUDE_CODE_OAUTH_TOKEN="t")

    written = lines(machine.surroundings.client().resolve(), clock.now(), Paper(width))

    assert [line for line in written if len(line) > width and " " in line.strip()] == []


def test_colour_is_only_for_terminals_that_want_it(machine: "Machine") -> None:
    plain = machine.run("status").out
    machine.environment(stdout_tty=True)
    coloured = machine.run("status").out
    machine.set(NO_COLOR="1")
    refused = machine.run("status").out

    assert "\x1b" not in plain
    assert "\x1b" in coloured
    assert "\x1b" not in refused


def test_an_account_of_another_kind_is_shown_too(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(replace(login, kind=LoginKind.ACCOUNT))

    assert "Stored login is used" in machine.run("status").out
