"""Open an address in the person's browser, where there is a browser and a person to see it (R-05)."""

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keystead.environment import Environment

_OPENERS: Final[Mapping[str, tuple[str, ...]]] = {
    "darwin": ("/usr/bin/open",),
    "win32": ("rundll32", "url.dll,FileProtocolHandler"),
}
_LINUX_OPENERS: Final = ("xdg-open", "gio open", "wslview", "x-www-browser", "www-browser")
_SSH: Final = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
_CONTAINER_MARKS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))


def obstacle(environment: Environment, container_marks: tuple[Path, ...] = _CONTAINER_MARKS) -> str | None:
    """Return why no browser can be opened here, as a clause; ``None`` when one can.

    ``BROWSER`` is the person's word that one can, whatever else speaks against it.
    """
    variables = environment.variables
    if variables.get("BROWSER"):
        return None
    if any(variables.get(name) for name in _SSH):
        return "this is a remote session"
    if environment.platform in _OPENERS:
        return None
    if any(mark.exists() for mark in container_marks):
        return "this is a container"
    if not (variables.get("DISPLAY") or variables.get("WAYLAND_DISPLAY") or variables.get("WSL_DISTRO_NAME")):
        return "there is no display"
    return None


def open_address(url: str, environment: Environment) -> bool:
    """Start a browser on ``url`` and return whether one was started; never waits for it, never lets it print.

    The address carries a state and a PKCE challenge, both worthless without the verifier, which stays here.
    """
    return any(_start(command, environment) for command in commands(url, environment))


def commands(url: str, environment: Environment) -> list[list[str]]:
    """Return the command lines to try in turn: ``BROWSER`` (a list, ``%s`` for the address), then the platform's."""
    chosen = environment.variables.get("BROWSER", "")
    separator = ";" if environment.platform == "win32" else ":"
    own = [_command(entry, url) for entry in chosen.split(separator) if entry.strip()]
    if environment.platform in _OPENERS:
        return [*own, [*_OPENERS[environment.platform], url]]
    return [*own, *([*opener.split(), url] for opener in _LINUX_OPENERS)]


def _command(entry: str, url: str) -> list[str]:
    try:
        words = shlex.split(entry)
    except ValueError:  # an unbalanced quote: take it as the name of a program
        words = [entry]
    return [word.replace("%s", url) for word in words] if "%s" in entry else [*words, url]


def _start(command: list[str], environment: Environment) -> bool:
    program = shutil.which(command[0], path=environment.variables.get("PATH"))
    if program is None:
        return False
    try:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=dict(environment.variables),
        )
    except OSError:
        return False
    return _settled(process)


def _settled(process: "subprocess.Popen[bytes]") -> bool:
    """Whether the opener works: it runs on, or ended well at once; one that fails does so immediately."""
    try:
        return process.wait(timeout=1.0) == 0
    except subprocess.TimeoutExpired:
        process.returncode = 0  # it lives on without us; nothing to reap, nothing to warn about
        return True
