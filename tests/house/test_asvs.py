"""The table of OWASP ASVS: no requirement is left out, nothing it names is made up, no gap is without its reason."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystead.server.settings import ServerSettings

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs/security/asvs.md"
LEVELS = {
    f"{section}.{number}": level
    for section, levels in tomllib.loads((Path(__file__).parent / "asvs_levels.toml").read_text("utf-8")).items()
    for number, level in enumerate(levels, 1)
}

OPEN = {
    "6.2.12": "by setting", "6.3.3": "by setting", "6.3.5": "not met", "6.4.5": "does not apply",
    "6.4.6": "not met", "6.5.5": "in part", "6.6.1": "does not apply", "6.6.4": "does not apply",
    "10.3.4": "does not apply", "10.3.5": "by setting", "10.4.13": "by setting", "10.4.14": "by setting",
    "10.4.15": "does not apply", "10.4.16": "by setting", "10.5.5": "does not apply",
}  # fmt: skip
"""Every row that is not simply met; another one is a decision that is taken here too."""
UNPROVED = {"does not apply"}
SHORTEST_REASON = 25


@dataclass(frozen=True)
class Row:
    """One line of the table, its cells as they stand there."""

    number: str
    level: str
    asked: str
    state: str
    how: str
    where: str
    proved: str

    @property
    def files(self) -> list[str]:
        return re.findall(r"`((?:src|docs)/[\w./-]+)`", self.where)

    @property
    def tests(self) -> list[tuple[str, str]]:
        groups = re.findall(r"`(tests/[\w./-]+)`: ((?:`\w+`(?:, )?)+)", self.proved)
        return [(file, name) for file, names in groups for name in re.findall(r"`(\w+)`", names)]


TEXT = TABLE.read_text(encoding="utf-8")
ROWS = [
    Row(*(cell.strip() for cell in line.strip("|").split("|")))
    for line in TEXT.splitlines()
    if re.match(r"\| \d+\.\d+\.\d+ \|", line)
]


def test_every_requirement_has_one_row_with_its_level() -> None:
    assert len(ROWS) == len(LEVELS)
    assert {row.number: row.level for row in ROWS} == {number: str(level) for number, level in LEVELS.items()}


def test_whatever_is_not_met_is_known_and_says_why() -> None:
    assert {row.number: row.state for row in ROWS if row.state != "met"} == OPEN
    assert [row.number for row in ROWS if row.state != "met" and len(row.how) < SHORTEST_REASON] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_what_a_row_names_exists(row: Row) -> None:
    missing = [file for file in row.files if not (ROOT / file).exists()]
    missing += [f"{file}: {name}" for file, name in row.tests if not _defines(file, name)]

    assert missing == []
    if row.state not in UNPROVED:
        assert row.files
        assert row.tests


def _defines(file: str, name: str) -> bool:
    path = ROOT / file
    return path.is_file() and re.search(rf"^ *def {name}\b", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def test_the_documented_limits_are_those_of_the_code() -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "src/keystead/server").rglob("*.py"))
    limits = {
        name: (count, seconds.replace("HOUR", "3600"))
        for name, count, seconds in re.findall(r'Limit\("([\w-]+)", (\d+), (\d+|HOUR)\)', source)
    }
    limits.pop("refused-identities")  # how much of refusals is written down, not how often one may try
    documented = {name: (count, span) for name, count, span in re.findall(r"`([\w-]+)`: (\d+) in (\d+) s", TEXT)}

    assert documented == limits


def test_the_documented_ends_of_a_session_are_the_defaults() -> None:
    defaults = ServerSettings(data_dir=Path())
    people = (ROOT / "docs/people.md").read_text(encoding="utf-8")

    assert re.search(rf"\| {defaults.browser_session_hours} hours \| `browser_session_hours` \|", people)
    assert re.search(rf"\| {defaults.browser_session_idle_minutes} minutes.* \| `browser_session_idle_min", people)
