import json
from typing import TYPE_CHECKING

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.testing.helper_contract import CASES

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine


@pytest.fixture(autouse=True)
def real_time(machine: "Machine") -> None:
    """The command is a real program, so that its time is real."""
    machine.change(clock=SYSTEM_CLOCK)


@pytest.mark.requirement("R-11 doctor")
def test_a_good_command_keeps_every_rule(machine: "Machine") -> None:
    outcome = machine.run("doctor", "helper", "echo canary-key")

    assert outcome.code == 0
    assert "broken" not in outcome.out
    assert "canary" not in outcome.out


@pytest.mark.requirement("R-11 doctor")
@pytest.mark.parametrize(
    ("command", "rule", "said"),
    [
        ("echo 'Welcome!'; echo canary-key", "one key on one line", "a line break at character 9"),
        ("echo canary-key; exit 3", "exits with 0", "it exited with 3"),
        ("echo canary-key; echo canary-key >&2", "error output", "the key is in it"),
        ("echo canary-key; sleep 300 &", "nothing running", "still running"),
        ("test ! -e once && touch once && echo canary-key", "works again", "exited with 1"),
        ("true", "one key on one line", "printed nothing"),
    ],
)
def test_each_rule_is_judged(machine: "Machine", command: str, rule: str, said: str) -> None:
    machine.set(PATH="/usr/bin:/bin")

    outcome = machine.run("doctor", "helper", "--json", command)

    assert outcome.code == 78
    (broken,) = [one for one in json.loads(outcome.out)["rules"] if one["kept"] is False and rule in one["rule"]]
    assert said in broken["said"]
    assert "canary" not in outcome.out


@pytest.mark.requirement("R-11 doctor")
def test_a_command_that_hangs_is_stopped_and_the_rest_is_not_tried(machine: "Machine") -> None:
    outcome = machine.run("doctor", "helper", "--json", "--deadline", "0.3", "sleep 300")

    assert outcome.code == 78
    assert [one["kept"] for one in json.loads(outcome.out)["rules"]][:2] == [False, None]


def test_a_key_that_is_used_for_less_time_than_it_takes(machine: "Machine") -> None:
    machine.set(CLAUDE_CODE_API_KEY_HELPER_TTL_MS="1", PATH="/usr/bin:/bin")

    rules = json.loads(machine.run("doctor", "helper", "--json", "sleep 0.01; echo k").out)["rules"]

    assert "less time" in next(one["rule"] for one in rules if one["kept"] is False)


def test_a_program_with_arguments(machine: "Machine") -> None:
    """Its options are its own, and what a shell would read stays as it is."""
    assert machine.run("doctor", "helper", "--", "printf", "%s", "a;b").code == 0


def test_no_command_is_a_usage_error(machine: "Machine") -> None:
    assert machine.run("doctor", "helper").code == 2


def test_no_nasty_command_passes_that_a_runner_must_refuse(machine: "Machine") -> None:
    """The checker agrees with the collection."""
    machine.set(PATH="/usr/bin:/bin")
    refused = [case for case in CASES if case.says and not case.slow]

    assert [case.id for case in refused if machine.run("doctor", "helper", "--json", case.command).code != 78] == []
