from pathlib import Path

import pytest

from keystead.cli.doctor import ancestors


def process(root: Path, number: int, parent: int, name: str, environ: bytes = b"") -> None:
    directory = root / "proc" / str(number)
    directory.mkdir(parents=True)
    (directory / "stat").write_text(f"{number} ({name}) S {parent} 1 1")
    (directory / "environ").write_bytes(environ)


@pytest.mark.requirement("R-28 provenance")
def test_the_program_that_gave_the_variable_to_its_child_is_named(tmp_path: Path) -> None:
    process(tmp_path, 1, 0, "init", b"A=1\0")
    process(tmp_path, 20, 1, "an (odd) editor", b"OTHER_KEY=1\0")
    process(tmp_path, 300, 20, "bash", b"A=1\0KEY=canary\0")
    process(tmp_path, 4000, 300, "keystead", b"KEY=canary\0")

    assert ancestors.origin("KEY", tmp_path, 4000) == "an (odd) editor (process 20) gave it to bash (process 300)"
    assert ancestors.origin("A", tmp_path, 4000) == "init (process 1) had it from the start"
    assert ancestors.origin("NONE", tmp_path, 4000) is None


def test_where_processes_cannot_be_seen_nothing_is_said(tmp_path: Path) -> None:
    assert ancestors.origin("KEY", tmp_path, 1) is None
