"""A frozen snapshot of the world a process starts in: variables, home, directory, terminal.

:meth:`Environment.capture` is the only reader of ``os.environ`` on the client, but for the question that
:mod:`keystead.cli.recall` asks; everything above receives the snapshot as an argument, so a resolution can be repeated,
tested and explained.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

STATE_VARIABLE: Final = "KEYSTEAD_CONFIG_DIR"
AGENT_VARIABLE: Final = "CLAUDE_CONFIG_DIR"

_MANAGED_DIRECTORIES: Final = {
    "darwin": Path("/Library/Application Support/ClaudeCode"),
    "win32": Path("C:/Program Files/ClaudeCode"),
}
_MANAGED_ELSEWHERE: Final = Path("/etc/claude-code")


def managed_directory(platform: str) -> Path:
    """Return where an administrator puts the agent's managed settings on ``platform`` (``sys.platform``)."""
    return _MANAGED_DIRECTORIES.get(platform, _MANAGED_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Environment:
    """What the process sees around itself.

    Attributes:
        variables: the environment variables; hidden in ``repr`` because some are secrets.
        home: the person's home directory.
        cwd: the working directory, which stands for the project.
        platform: ``sys.platform``.
        managed_dir: where managed settings of the agent rest; writable by administrators only.
        state_dir: ``$KEYSTEAD_CONFIG_DIR`` or ``~/.keystead``, the one directory for all Keystead keeps (R-14).
        agent_dir: the agent's own configuration directory, ``$CLAUDE_CONFIG_DIR`` or ``~/.claude``.
    """

    variables: Mapping[str, str] = field(repr=False)
    home: Path
    cwd: Path
    platform: str = "linux"
    stdin_tty: bool = False
    stdout_tty: bool = False
    stderr_tty: bool = False
    managed_dir: Path = _MANAGED_ELSEWHERE
    state_dir: Path = field(init=False, repr=False, compare=False)
    agent_dir: Path = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "state_dir", self._directory(STATE_VARIABLE, ".keystead"))
        object.__setattr__(self, "agent_dir", self._directory(AGENT_VARIABLE, ".claude"))

    @classmethod
    def capture(cls) -> "Environment":
        """Take the snapshot of this process, now."""
        variables = dict(os.environ)
        return cls(
            variables=variables,
            home=_home(variables),
            cwd=_working_directory(variables),
            platform=sys.platform,
            stdin_tty=_is_terminal(0),
            stdout_tty=_is_terminal(1),
            stderr_tty=_is_terminal(2),
            managed_dir=managed_directory(sys.platform),
        )

    def _directory(self, variable: str, name: str) -> Path:
        chosen = self.variables.get(variable)
        return self.cwd / chosen if chosen else self.home / name

    def display(self, path: Path | str) -> str:
        """Return ``path`` for people: ``.`` for the project, ``~`` for the home directory, else as it is."""
        shown, cwd, home = str(path), str(self.cwd), str(self.home)
        if _below(home, cwd) is None and (rest := _below(shown, cwd)) is not None:
            return f"./{rest}"
        rest = _below(shown, home)
        return shown if rest is None else f"~/{rest}"


def _below(path: str, directory: str) -> str | None:
    """Return what of ``path`` is below ``directory``, with slashes; as text, for each decision asks many times."""
    if path == directory:
        return "."
    root = directory if directory.endswith(os.sep) else directory + os.sep
    if not os.path.normcase(path).startswith(os.path.normcase(root)):
        return None
    return path[len(root) :].replace(os.sep, "/")


def _home(variables: Mapping[str, str]) -> Path:
    chosen = variables.get("HOME") or variables.get("USERPROFILE")
    if chosen:
        return Path(chosen)
    try:
        return Path.home()
    except RuntimeError:  # a container's user without an entry in the user database
        return Path("/")


def _working_directory(variables: Mapping[str, str]) -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # deleted under our feet: it has no project files, and that is all it is used for
        return Path(variables.get("PWD") or "/")


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
