"""The error tree drawn in ``errors.py`` is the tree that the code has."""

import importlib
import re
from pathlib import Path

import keystead
from keystead import errors
from keystead.errors import KeysteadError


def drawn() -> dict[str, tuple[str | None, int]]:
    """Name -> (parent, exit code), as the docstring of the module draws it."""
    rows: dict[str, tuple[str | None, int]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+) +(\d+) +\S", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            rows[match[2]] = (path[depth - 1] if depth else None, int(match[3]))
    return rows


def family(root: type[KeysteadError]) -> set[type[KeysteadError]]:
    """``root`` and everything below it."""
    return {root}.union(*(family(child) for child in root.__subclasses__()))


def coded() -> dict[str, tuple[str | None, int]]:
    """The same, as the classes are."""
    return {
        error.__name__: (None if error is KeysteadError else error.__bases__[0].__name__, error.exit_code)
        for error in family(KeysteadError)
        if error.__module__ == errors.__name__
    }


def test_the_drawing_is_the_code() -> None:
    """Same classes, same parents, same exit codes."""
    assert drawn() == coded()


def test_codes_are_unique() -> None:
    """``code`` is what scripts switch on."""
    codes = [error.code for error in family(KeysteadError)]
    assert len(codes) == len(set(codes))


def test_all_errors_live_in_one_module() -> None:
    """A reader who knows ``errors.py`` knows every failure, whatever part of the client raises it."""
    package = Path(keystead.__file__).parent
    for file in package.rglob("*.py"):
        if not file.is_relative_to(package / "server"):
            importlib.import_module(".".join(file.relative_to(package.parent).with_suffix("").parts))
    assert {error.__module__ for error in family(KeysteadError)} == {errors.__name__}


def test_every_error_is_public() -> None:
    """What can be raised can be caught by ``from keystead import …``."""
    missing = {name for name in coded() if not hasattr(keystead, name) or name not in keystead.__all__}
    assert not missing
