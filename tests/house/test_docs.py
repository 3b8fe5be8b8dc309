"""What the documents name exists: paths in the tour, symbols in the request's flow, links everywhere."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
DOCUMENTS = sorted(
    path for path in [ROOT / name for name in TRACKED if name.endswith(".md")] if "gateway/protocol.md" not in str(path)
)
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_path_of_the_tour_exists() -> None:
    named = re.findall(r"`((?:src|tests|docs)/[\w./-]+)`", (ROOT / "docs/tour.md").read_text(encoding="utf-8"))

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_file_the_tour_names_beside_a_path_exists() -> None:
    text = (ROOT / "docs/tour.md").read_text(encoding="utf-8")
    names = {Path(path).name for path in TRACKED} | {path.name for path in (ROOT / "src").rglob("*.py")}

    assert [name for name in re.findall(r"`([a-z0-9_]+\.py)`", text) if name not in names] == []


def test_every_symbol_of_the_request_flow_exists() -> None:
    text = (ROOT / "docs/request-flow.md").read_text(encoding="utf-8")
    symbols = {part for name in re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", text) for part in name.split(".")}
    symbols -= {"UPDATE"}

    assert symbols
    assert [symbol for symbol in sorted(symbols) if not re.search(rf"\b(class|def) {symbol}\b", SOURCE)] == []
