"""What may not stand in any tracked file, and what must stand in some."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import keystead

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

FORBIDDEN = {
    # written in pieces, so that this file does not contain what it looks for
    "a path of one machine": r"/(?:work|root|opt)/[a-z.]|/" + r"home/(?!you\b)\w",
    "a package registry's host": r"py" + r"pi\.org|python" + r"hosted\.org|npm" + r"js\.(?:org|com)",
    "an unresolved merge": r"(?m)^(?:<{7}|>{7}) ",
}


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [file for name in listing.split("\0") if name and (file := ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_contains(what: str) -> None:
    """The repository says nothing about the machine it was written on."""
    found = []
    for file in tracked():
        try:
            match = re.search(FORBIDDEN[what], file.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
        if match:
            found.append(f"{file.relative_to(ROOT)}: {match[0]!r}")
    assert not found


def distribution(requirement: str) -> str:
    """``django`` from ``django>=5.2,<5.3``."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def declared() -> set[str]:
    project = PROJECT["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    peers = json.loads((ROOT / "tests/peers/package.json").read_text(encoding="utf-8"))
    return {distribution(requirement) for group in groups for requirement in group} | set(peers["dependencies"])


def test_every_dependency_says_why_it_is_here() -> None:
    """``docs/dependencies.md`` has one row for each direct dependency, and none for what is gone."""
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `([@\w./-]+)`", text, re.MULTILINE))
    assert explained == declared()


def test_the_locks_name_no_index() -> None:
    """Every requirement is pinned by hash; where it comes from is the machine's business."""
    for lock in sorted((ROOT / "requirements").glob("*.lock")):
        lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert not [line for line in lines if "://" in line or line.startswith("-")], lock.name
        pins = sum("==" in line for line in lines if not line.startswith(" "))
        assert pins > 0
        assert pins <= sum("--hash=sha256:" in line for line in lines), lock.name


def test_the_changelog_has_a_place_for_the_next_entry() -> None:
    """People read what changed for them before they upgrade."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == keystead.__version__
