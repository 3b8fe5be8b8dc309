"""Statements to the database carry values as parameters: where SQL is written by hand is a list, read off the code."""

import ast
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parents[2] / "src/keystead"
WRITTEN: Final = {
    "server/announcements.py": "the channel that is listened to, a constant",
    "server/identity/shared_cache.py": "one of the constants of that file",
    "server/statements.py": "what Django compiled, or the model's own names, with a place for every value",
    "server/usage/ledger.py": "the model's own names, with a place for every value",
}
"""The files that run a statement which is not a literal, and what it is made of."""
COMPOSED: Final = {"server/statements.py", "server/usage/ledger.py"}
"""The files where ruff is told that a statement put together from parts (S608) is meant."""
UNSAFE: Final = {"RawSQL", "extra", "raw"}
"""Django's ways to put SQL into a query."""


def short(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def modules() -> list[Path]:
    return [file for file in sorted(PACKAGE.rglob("*.py")) if "migrations" not in file.parts]


def called(file: Path) -> list[tuple[str, ast.Call]]:
    """Return every call in a file with the last part of its name."""
    calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [(getattr(one.func, "attr", getattr(one.func, "id", "")), one) for one in calls]


@pytest.mark.requirement("G-09 parameters")
def test_statements_are_literals_but_in_a_few_files() -> None:
    found = {
        short(file)
        for file in modules()
        for name, call in called(file)
        if name in {"execute", "executemany"} and call.args and not isinstance(call.args[0], ast.Constant)
    }
    assert found == WRITTEN.keys()


@pytest.mark.requirement("G-09 parameters")
def test_nothing_puts_sql_into_a_query() -> None:
    found = [f"{short(file)}:{call.lineno}" for file in modules() for name, call in called(file) if name in UNSAFE]
    assert found == []


@pytest.mark.requirement("G-09 parameters")
def test_statements_are_put_together_in_two_files_only() -> None:
    assert {short(file) for file in modules() if "S608" in file.read_text(encoding="utf-8")} == COMPOSED
