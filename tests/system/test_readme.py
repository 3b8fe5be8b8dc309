"""The README's commands, typed as it says, in its order, by somebody with an empty home directory.

Blocks marked ``console`` are what a terminal shows: lines after ``$`` are typed, the others must appear. ``…`` stands
for anything, on a line of its own for any lines. The first block runs in one terminal until the end, the others in a
second. A person acts where the README says that one does: creating the first account, approving a sign-in.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, Step, Terminal, World, blocks, matches, server, steps, usual_port_or_another
from people import PATIENCE, Person

README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_TYPED = {"make test"}
"""What runs this test cannot be run by it."""


def typed(world: World, prelude: list[str], step: Step, person: Person) -> None:
    """Type one command in the second terminal; the person approves what it asks for."""
    terminal = Terminal("\n".join([*prelude, world.here(step.command)]), world.variables())
    try:
        for line in terminal.lines():
            if link := re.search(r"http\S+/device\?user_code=\S+", line):
                person.approve(link[0])
        assert terminal.process.wait(PATIENCE) == 0, terminal.output
        assert matches(step.shown, world.written(terminal.output)), terminal.output
    finally:
        terminal.close()


def test_the_readme_is_true(tmp_path: Path) -> None:
    """From an empty home directory to an answer, and the SDK's answer, exactly as written."""
    (start,), *rest = [steps(block) for block in blocks(README, "console")]
    world = World(tmp_path, usual_port_or_another())
    with server(world, start) as running:
        person = Person(world.base)
        link = re.search(r"http\S+/setup#code=\S+", running.output)
        assert link
        person.set_up(link[0])
        prelude: list[str] = []
        for step in [step for block in rest for step in block if step.command not in NOT_TYPED]:
            if step.command.startswith("export "):
                prelude.append(world.here(step.command))
            else:
                typed(world, prelude, step, person)
        for snippet in blocks(README, "python"):
            code = world.here(snippet).replace("ksk_…", person.create_key())
            done = subprocess.run(
                [sys.executable, "-c", code],
                env=world.variables(),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip()
    assert "Keystead has stopped." in running.output
    assert "Traceback" not in running.output


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    """One command for people and machines."""
    commands = {step.command for block in blocks(README, "console") for step in steps(block)}
    assert commands >= NOT_TYPED
    assert "exec make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("shown", "output", "expected"),
    [
        (["a", "b"], "a\nb\n", True),
        (["a", "b"], "a\nc\n", False),
        (["a", "…", "z"], "a\nb\nc\nz\n", True),
        (["a", "…", "z"], "a\nz\n", True),
        (["a", "…", "z"], "a\nb\n", False),
        (["a … c"], "a b c\n", True),
        (["a (.*)"], "a b\n", False),
        (["a  "], "a\n", True),
        ([], "", True),
        ([], "noise\n", False),
    ],
)
def test_the_wildcards_mean_what_they_say(shown: list[str], output: str, expected: bool) -> None:
    assert matches(shown, output) is expected
