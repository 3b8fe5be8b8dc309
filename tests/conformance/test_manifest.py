"""The manifest of requirements and the tests that hang on it: neither may lose the other."""

import ast
import tomllib
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def promised() -> set[str]:
    """Return every requirement of every manifest, as ``document section``."""
    found = set()
    for file in sorted((TESTS / "conformance" / "manifest").glob("*.toml")):
        for document, sections in tomllib.loads(file.read_text(encoding="utf-8")).items():
            found |= {f"{document} {section}" for section in sections}
    return found


def marked() -> set[str]:
    """Return every requirement that a test names, read from the source so that no test is left out."""
    found = set()
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "requirement":
                found |= {str(ast.literal_eval(argument)) for argument in node.args}
    return found


def test_every_requirement_has_a_test() -> None:
    assert promised() - marked() == set()


def test_every_mark_names_a_requirement() -> None:
    assert marked() - promised() == set()
