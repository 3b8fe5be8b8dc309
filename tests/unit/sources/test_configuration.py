"""Settings files and variables as one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.environment import Environment
from keystead.sources.configuration import Configuration
from keystead.testing.environment import bare_environment


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return bare_environment(tmp_path, {"ANTHROPIC_API_KEY": "shell", "MODEL": "shell"})


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1))
    return path


def places(environment: Environment) -> dict[str, Path]:
    return {
        "managed": environment.managed_dir / "managed-settings.json",
        "local": environment.cwd / ".claude/settings.local.json",
        "project": environment.cwd / ".claude/settings.json",
        "user": environment.home / ".claude/settings.json",
    }


def test_a_variable_of_the_shell_counts_when_no_file_sets_it(environment: Environment) -> None:
    """And says so."""
    value = Configuration.read(environment).variable("ANTHROPIC_API_KEY").value

    assert value is not None
    assert (value.text, str(value.provenance)) == ("shell", "ANTHROPIC_API_KEY in the environment")


def test_managed_beats_local_beats_project_beats_user_beats_the_shell(environment: Environment) -> None:
    """Each file is removed in turn, and the next one counts."""
    files = places(environment)
    for name, path in files.items():
        write(path, {"env": {"MODEL": name}})

    seen = []
    for path in files.values():
        value = Configuration.read(environment).variable("MODEL").value
        assert value is not None
        seen.append((value.text, str(value.provenance)))
        path.unlink()

    assert seen == [
        ("managed", f"{environment.managed_dir}/managed-settings.json:3"),
        ("local", "./.claude/settings.local.json:3"),
        ("project", "./.claude/settings.json:3"),
        ("user", "~/.claude/settings.json:3"),
    ]


def test_managed_drop_ins_count_in_reverse_order_of_their_names(environment: Environment) -> None:
    """The last one is the most specific."""
    write(environment.managed_dir / "managed-settings.json", {"model": "base"})
    write(environment.managed_dir / "managed-settings.d/10-team.json", {"model": "team"})
    write(environment.managed_dir / "managed-settings.d/20-me.json", {"model": "me"})

    value = Configuration.read(environment).setting("model").value

    assert value is not None
    assert value.text == "me"


def test_an_empty_value_masks_what_is_below(environment: Environment) -> None:
    """In a trusted file."""
    write(places(environment)["user"], {"env": {"ANTHROPIC_API_KEY": ""}})

    assert Configuration.read(environment).variable("ANTHROPIC_API_KEY").value is None


@pytest.mark.parametrize("scope", ["local", "project"])
@pytest.mark.parametrize("text", ["theirs", ""])
def test_a_projects_file_neither_sets_nor_masks_a_guarded_name(environment: Environment, scope: str, text: str) -> None:
    """It is reported with its place, and the person's own value counts (R-07)."""
    write(places(environment)[scope], {"env": {"ANTHROPIC_API_KEY": text, "MODEL": "theirs"}})

    configuration = Configuration.read(environment)
    reading = configuration.variable("ANTHROPIC_API_KEY")

    assert reading.value is not None
    assert reading.value.text == "shell"
    assert f"./.claude/settings{'.local' if scope == 'local' else ''}.json:3" in reading.warnings[0]
    assert configuration.variables() == {"ANTHROPIC_API_KEY": "shell", "MODEL": "shell"}


def test_in_the_home_directory_the_projects_file_is_the_users(environment: Environment) -> None:
    """Somebody who works in their home directory is not their own intruder."""
    write(places(environment)["user"], {"env": {"ANTHROPIC_API_KEY": "mine"}})

    reading = Configuration.read(replace(environment, cwd=environment.home)).variable("ANTHROPIC_API_KEY")

    assert reading.value is not None
    assert (reading.value.text, reading.ignored) == ("mine", ())


def test_the_agents_directory_moves_with_its_variable(environment: Environment, tmp_path: Path) -> None:
    """``CLAUDE_CONFIG_DIR`` instead of ``~/.claude``."""
    write(tmp_path / "moved/settings.json", {"model": "moved"})
    moved = replace(environment, variables={"CLAUDE_CONFIG_DIR": str(tmp_path / "moved")})

    assert Configuration.read(moved).setting("model").value is not None


def test_a_malformed_file_is_a_fault_with_its_line(environment: Environment) -> None:
    """Not an exception: status must still be able to speak."""
    write(places(environment)["user"], '{\n "model": \n}')

    faulty = Configuration.read(environment).faulty

    assert faulty is not None
    assert faulty.fault is not None
    assert "~/.claude/settings.json:3" in faulty.fault.message
    assert faulty.fault.exit_code == 78
    assert str(faulty.place) == "~/.claude/settings.json:3"


def test_a_directory_in_the_place_of_a_file_is_a_fault(environment: Environment) -> None:
    """Named, with the fix."""
    places(environment)["user"].mkdir(parents=True)

    faulty = Configuration.read(environment).faulty

    assert faulty is not None
    assert faulty.fault is not None
    assert "not a regular file" in faulty.fault.message
    assert faulty.fault.hint


def test_values_are_hidden(environment: Environment) -> None:
    """In the reading and in the whole configuration."""
    write(places(environment)["user"], {"env": {"ANTHROPIC_API_KEY": "canary"}})
    configuration = Configuration.read(environment)

    assert "canary" not in f"{configuration!r} {configuration.variable('ANTHROPIC_API_KEY')!r}"
