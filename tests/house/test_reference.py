"""What is generated from the code is what the code says today."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = runpy.run_path(str(ROOT / "scripts/reference.py"))["files"]()


@pytest.mark.parametrize("path", sorted(FILES))
def test_the_file_is_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == FILES[path], "run `make docs`"


def test_nothing_else_lies_among_the_generated_files() -> None:
    places = [ROOT / "docs/reference", ROOT / "share"]
    found = {str(path.relative_to(ROOT)) for place in places for path in place.rglob("*") if path.is_file()}

    assert found == set(FILES)


@pytest.mark.parametrize(("typed", "offered"), [("keystead sta", "status"), ("keystead login --dev", "--device")])
def test_the_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    program = Path(sys.executable).parent / "keystead"
    words = typed.split()
    done = subprocess.run(
        [program],
        env={
            "_KEYSTEAD_COMPLETE": "bash_complete",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(words) - 1),
            "HOME": "/",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"plain,{offered}" in done.stdout
