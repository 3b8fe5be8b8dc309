"""A developer asks what is left: the real client, and a real server whose administrator sets limits in the console."""

import json
from pathlib import Path
from typing import Any

import pytest
from running import Installation, Machine


def told(machine: Machine) -> list[dict[str, Any]]:
    done = machine.keystead("limits", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)["limits"]
    return found


def set_limit(installation: Installation, **typed: str) -> None:
    address, page = installation.person.open(f"{installation.base}/limits")
    installation.person.fill(address, page, {"whom": "organization||each", **typed})


def with_key(home: Path, installation: Installation) -> Machine:
    """Return another machine, which has nothing but a key."""
    return Machine(home, {"ANTHROPIC_BASE_URL": installation.base, "ANTHROPIC_API_KEY": installation.api_key})


@pytest.mark.requirement("S-25 left at the terminal")
def test_what_is_left_is_told_to_a_sign_in_and_to_a_key(installation: Installation, tmp_path: Path) -> None:
    machine, keyed = installation.machine, with_key(tmp_path, installation)
    assert machine.keystead("limits").stdout == f"No limit holds for you at {installation.base}.\n"

    set_limit(installation, amount="20", what="allowance|five_hours", beyond="metered")
    set_limit(installation, amount="60", what="requests|minute")
    assert machine.keystead("-p", "hello").returncode == 0
    flat, rate = told(machine)
    assert (flat["measure"], flat["remaining"], flat["beyond"]) == ("allowance", "2000", "metered")
    assert (rate["measure"], rate["used"], rate["remaining"]) == ("requests", "1", "59")
    assert [one["measure"] for one in told(keyed)] == ["requests"]
    assert "  5-hour allowance   0% used, 20.00 of 20.00 USD left" in machine.keystead("limits").stdout


@pytest.mark.requirement("S-25 left at the terminal")
def test_a_server_that_is_away_is_one_sentence(installation: Installation) -> None:
    installation.server.stop()
    done = installation.machine.keystead("limits")
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.startswith("keystead: ")
    assert "Traceback" not in done.stderr
    assert done.stderr.count(installation.base) >= 1
