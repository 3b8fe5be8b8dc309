"""Answers about API keys that nobody has to be asked for."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

KEY = "canary-key-0123456789"
ORIGIN = "https://api.anthropic.com"


def listed(machine: "Machine") -> dict[str, object]:
    found = json.loads(machine.run("approve", "--list", "--json").out)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def keyed(machine: "Machine") -> "Machine":
    machine.set(ANTHROPIC_API_KEY=KEY)
    return machine


def in_session(machine: "Machine") -> "Machine":
    machine.change(interactive=True)
    return machine


def test_the_list_names_the_key_by_its_fingerprint_and_never_by_itself(keyed: "Machine") -> None:
    outcome = keyed.run("approve", "--list")
    document = listed(keyed)

    assert outcome.code == 0
    key = document["key"]
    assert isinstance(key, dict)
    assert key["fingerprint"] in outcome.out
    assert "ANTHROPIC_API_KEY in the environment" in outcome.out
    assert "not yet approved" in outcome.out
    assert (key["approval"], key["origin"], document["answers"]) == ("pending", ORIGIN, [])
    assert not any(KEY[start : start + 6] in outcome.out for start in range(len(KEY) - 5))


@pytest.mark.requirement("R-21 seeded")
def test_a_key_approved_by_fingerprint_is_used_without_a_question(keyed: "Machine") -> None:
    key = listed(keyed)["key"]
    assert isinstance(key, dict)

    before = in_session(keyed).surroundings.client().resolve().winner
    outcome = keyed.run("approve", "--fingerprint", key["fingerprint"])
    after = keyed.surroundings.client().resolve().winner

    assert before is None
    assert (outcome.code, outcome.err) == (0, "")
    assert after is not None
    assert after.source == "api_key"
    assert "approved on 2026-11-18" in after.reason


@pytest.mark.requirement("R-21 seeded")
def test_an_image_is_seeded_before_the_key_is_there(machine: "Machine") -> None:
    """Fingerprint and salt come from a machine that has the key."""
    machine.set(ANTHROPIC_API_KEY=KEY)
    document = listed(machine)
    key = document["key"]
    assert isinstance(key, dict)
    machine.environment(variables={"KEYSTEAD_CONFIG_DIR": "another"})

    outcome = machine.run("approve", "--fingerprint", key["fingerprint"], "--salt", str(document["salt"]), "--json")
    machine.set(ANTHROPIC_API_KEY=KEY)
    winner = in_session(machine).surroundings.client().resolve().winner

    assert json.loads(outcome.out)["approved"]["origin"] == ORIGIN
    assert winner is not None
    assert winner.source == "api_key"


def test_a_fingerprint_without_its_salt_stands_for_nothing(machine: "Machine") -> None:
    outcome = machine.run("approve", "--fingerprint", "0123456789ab")

    assert outcome.code == 78
    assert "--list" in outcome.err
    assert not machine.surroundings.environment.state_dir.joinpath("approvals.json").exists()


def test_another_salt_than_the_one_in_use_is_refused(keyed: "Machine") -> None:
    listed(keyed)

    outcome = keyed.run("approve", "--fingerprint", "0123456789ab", "--salt", "00" * 16)

    assert outcome.code == 78
    assert "Another salt" in outcome.err


def test_an_approval_is_for_one_address(keyed: "Machine") -> None:
    key = listed(keyed)["key"]
    assert isinstance(key, dict)

    keyed.run("approve", "--fingerprint", key["fingerprint"], "--origin", "https://keys.example.com/v1")

    assert in_session(keyed).surroundings.client().resolve().winner is None


@pytest.mark.requirement("R-21 listed")
def test_an_answer_is_revoked_by_fingerprint(keyed: "Machine") -> None:
    key = listed(keyed)["key"]
    assert isinstance(key, dict)
    fingerprint = key["fingerprint"]
    keyed.run("approve", "--fingerprint", fingerprint)

    first, second = (keyed.run("approve", "--revoke", fingerprint) for _ in range(2))
    document = json.loads(keyed.run("approve", "--revoke", fingerprint, "--json").out)

    assert "will ask again" in first.out
    assert "no answer" in second.out
    assert (document["fingerprint"], document["revoked"]) == (fingerprint, False)
    assert listed(keyed)["answers"] == []


@pytest.mark.requirement("R-21 listed")
def test_declined_keys_are_listed_with_their_day(keyed: "Machine") -> None:
    client = in_session(keyed).surroundings.client()
    key = client.environment_key()
    assert key is not None
    client.decide(key, accepted=False)

    assert "declined on 2026-11-18" in keyed.run("approve", "--list").out
    assert "declined on 2026-11-18" in keyed.run("status").out
    keyed.change(interactive=False)
    assert "declined on 2026-11-18 for the prompt" in " ".join(keyed.run("status").out.split())
    assert "declined on 2026-11-18" in json.loads(keyed.run("status", "--json").out)["warnings"][0]


def test_a_machine_without_key_says_so(machine: "Machine") -> None:
    assert "No API key" in machine.run("approve", "--list").out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--list", "--revoke", "0123456789ab"),
        ("--list", "--origin", "https://example.com"),
        ("--fingerprint", "short"),
        ("--fingerprint", "0123456789ab", "--salt", "xyz"),
        ("--fingerprint", "0123456789ab", "--origin", "nowhere"),
        ("--revoke", "0123456789abc"),
    ],
)
def test_what_is_off_is_named(keyed: "Machine", arguments: tuple[str, ...]) -> None:
    outcome = keyed.run("approve", *arguments)

    assert outcome.code == 2
    assert "Traceback" not in outcome.err
