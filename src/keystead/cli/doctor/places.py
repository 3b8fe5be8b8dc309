"""Where environment variables are set on a machine: shell files, direnv, the session, editors (R-28).

A table of places, each with the files it reads and how a line there sets a variable. The value is never kept.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from keystead.cli.doctor.finding import Ground, read_text
from keystead.drivers import windows_variables
from keystead.environment import Environment


class Reach(StrEnum):
    """Who gets a variable that is set there."""

    SHELL = "shell"
    SESSION = "session"
    EDITOR = "editor"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Place:
    """One sort of file.

    Attributes:
        files: patterns: ``~/`` below the home directory, ``./`` in the project and its parents, ``/`` below the root.
        line: how a line sets the variable ``NAME``.
        fix: what to do, with the names file, line and variable in braces.
    """

    title: str
    reach: Reach
    files: tuple[str, ...]
    line: str
    fix: str


@dataclass(frozen=True, slots=True)
class Setter:
    """What sets a variable.

    Attributes:
        line: of the file, counted from 1; 0 where the place is a key of the registry and has no lines.
    """

    name: str
    place: Place
    path: Path
    line: int

    def shown(self, environment: Environment) -> str:
        """Return where it is, for people."""
        return f"{environment.display(self.path)}:{self.line}" if self.line else str(self.path)


_CUT: Final = "Run: sed -i.bak '{line}d' {file}"
_ASSIGNMENT: Final = r"^(?:[^#]*[\s;&|])?NAME="

PLACES: Final = (
    Place(
        "bash",
        Reach.SHELL,
        ("~/.bashrc", "~/.bash_profile", "~/.bash_login", "~/.bash_aliases", "~/.profile", "/etc/bash.bashrc"),
        _ASSIGNMENT,
        _CUT,
    ),
    Place("every shell", Reach.SHELL, ("/etc/profile", "/etc/profile.d/*.sh"), _ASSIGNMENT, f"{_CUT} (as root)"),
    Place(
        "zsh", Reach.SHELL, ("~/.zshenv", "~/.zprofile", "~/.zshrc", "~/.zlogin", "/etc/zsh/zshenv", "/etc/zsh/zshrc"),
        _ASSIGNMENT, _CUT,
    ),
    Place(
        "fish", Reach.SHELL, ("~/.config/fish/config.fish", "~/.config/fish/conf.d/*.fish"),
        r"^\s*set\s+(?:-{1,2}[\w-]+\s+)*NAME\b", _CUT,
    ),
    Place(
        "fish's universal variables", Reach.SHELL, ("~/.config/fish/fish_variables",),
        r"^SETUVAR\s+(?:--export\s+)?NAME:", "Run in fish: set -e -U {name}",
    ),
    Place("direnv", Reach.PROJECT, ("./.envrc",), _ASSIGNMENT, _CUT + " && direnv allow"),
    Place(".env", Reach.PROJECT, ("./.env", "./.env.local"), r"^\s*(?:export\s+)?NAME\s*=", _CUT),
    Place(
        "the systemd session", Reach.SESSION, ("~/.config/environment.d/*.conf", "/etc/environment.d/*.conf"),
        r"^\s*NAME=", _CUT + " && systemctl --user unset-environment {name}",
    ),
    Place("the login session", Reach.SESSION, ("/etc/environment",), r"^\s*(?:export\s+)?NAME=", f"{_CUT} (as root)"),
    Place("the login session", Reach.SESSION, ("~/.pam_environment",), r"^\s*NAME(?:=|\s+(?:DEFAULT|OVERRIDE)=)", _CUT),
    Place(
        "launchd", Reach.SESSION, ("~/Library/LaunchAgents/*.plist",),
        r"\bsetenv\b.*\bNAME\b|<(?:key|string)>NAME</",
        "Run: launchctl unsetenv {name}, and remove line {line} of {file}",
    ),
    Place(
        "VS Code's terminals",
        Reach.EDITOR,
        (
            "~/.config/Code/User/settings.json", "~/Library/Application Support/Code/User/settings.json",
            "~/.vscode-server/data/Machine/settings.json", "./.vscode/settings.json",
        ),
        r'"NAME"\s*:', "Remove line {line} of {file} from terminal.integrated.env",
    ),
)  # fmt: skip
"""Every place that is looked at, beside the registry of Windows."""

REGISTRY: Final = Place(
    "every program of Windows", Reach.SESSION, (), "",
    "remove {name} under {file}, or run: [Environment]::SetEnvironmentVariable('{name}', $null, '{scope}')",
)  # fmt: skip
_SCOPES: Final = {"HKEY_CURRENT_USER": "User", "HKEY_LOCAL_MACHINE": "Machine"}


def setters(names: frozenset[str], ground: Ground) -> Iterator[Setter]:
    """Yield every line of every place that sets one of ``names``, then what the registry sets."""
    seen = set()
    for place in PLACES:
        for path in _files(place, ground):
            if path in seen:
                continue
            seen.add(path)
            text = read_text(path)
            for number, line in enumerate((text or "").splitlines(), start=1):
                yield from (
                    Setter(name, place, path, number)
                    for name in sorted(names)
                    if name in line and re.search(place.line.replace("NAME", name), line) and not _comment(line)
                )

    yield from _registry(names)


def _registry(names: frozenset[str]) -> Iterator[Setter]:
    for root, key in windows_variables.PLACES:
        place = replace(REGISTRY, fix=REGISTRY.fix.replace("{scope}", _SCOPES[root]))
        for name in sorted(names & windows_variables.names(root, key)):
            yield Setter(name, place, Path(root, key), 0)


def _comment(line: str) -> bool:
    return line.lstrip().startswith(("#", "//"))


def _files(place: Place, ground: Ground) -> Iterator[Path]:
    environment = ground.environment
    for pattern in place.files:
        if pattern.startswith("./"):
            directories = [
                one for one in (environment.cwd, *environment.cwd.parents) if one.is_relative_to(ground.root)
            ]
            yield from (directory / pattern[2:] for directory in directories)
            continue
        base = environment.home if pattern.startswith("~/") else ground.root
        relative = pattern.lstrip("~/") if not pattern.startswith("~/") else pattern[2:]
        if "zsh" in place.title and pattern.startswith("~/") and environment.variables.get("ZDOTDIR"):
            base = Path(environment.variables["ZDOTDIR"])
        try:
            yield from sorted(base.glob(relative)) if "*" in relative else [base / relative]
        except OSError:
            continue
