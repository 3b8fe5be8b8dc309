"""The rows that are programs: each prints something that lies in a file or a variable, without any network."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cli.logins import sign_in

from keystead.cli.recall import DIRECTORY

GH_CONFIGURATION = """github.com:
    user: bench
    oauth_token: gho_not_a_real_token
    git_protocol: https
"""
SETTINGS = '{"permissions": {"allow": ["Bash(git status)"]}, "model": "some-model"}\n'
KEY = {"ANTHROPIC_API_KEY": "sk-not-a-real-key"}


@dataclass(frozen=True)
class Program:
    """One row.

    Attributes:
        home: what it takes for the home directory, and where it runs.
        before: what is done before each run.
    """

    name: str
    command: tuple[str, ...]
    home: Path
    variables: dict[str, str]
    before: Callable[[], object] = lambda: None

    def run(self) -> tuple[float, float]:
        """Return milliseconds of CPU, its children included, and of wall clock."""
        self.before()
        environment = {"HOME": str(self.home), "PATH": os.defpath, **self.variables}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(self.command, env=environment, cwd=self.home, capture_output=True, check=True)
        after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return cpu * 1000, (end - start) * 1000


def programs(root: Path) -> list[Program]:
    """Furnish three homes below ``root`` and return the rows."""
    python = sys.executable
    keystead = str(Path(python).with_name("keystead"))
    key, session, first = (_home(root / name) for name in ("key", "session", "first"))
    sign_in(session / ".keystead")

    def forget() -> None:
        shutil.rmtree(first / ".keystead" / DIRECTORY, ignore_errors=True)

    rows = [
        Program("bare interpreter", (python, "-I", "-S", "-c", "pass"), key, {}),
        Program("interpreter with site", (python, "-c", "pass"), key, {}),
        Program("import keystead", (python, "-c", "import keystead"), key, {}),
        Program("keystead token, key in a variable", (keystead, "token"), key, KEY),
        Program("keystead token, signed in", (keystead, "token"), session, {}),
        Program("keystead token, asked for the first time", (keystead, "token"), first, KEY, forget),
        Program("keystead status", (keystead, "status"), session, {}),
    ]
    if gh := shutil.which("gh"):
        place = key / ".config/gh"
        place.mkdir(parents=True)
        (place / "hosts.yml").write_text(GH_CONFIGURATION)
        rows.append(Program("gh auth token", (gh, "auth", "token"), key, {}))
    return rows


def _home(home: Path) -> Path:
    (home / ".claude").mkdir(parents=True)
    (home / ".claude/settings.json").write_text(SETTINGS)
    return home
