"""``keystead token``, asked the same again: the resolver's own answer, remembered.

Which credential is used is a pure function of what is read: the variables, the working directory, a dozen small
files, the time. All of them but the time, byte for byte, are the question. Its hash is the name of a file in the state
directory that says where the credential stands in what was just read, and from when to when that holds. So there is
no rule of the precedence table here, an answer cannot be older than its question, and nothing secret is kept.
Whatever is unusual is left to the resolver, which is also the only one that answers a new question
(:mod:`keystead.cli.remember`).

Agents ask before each request, so nothing is imported that the interpreter has not loaded anyway: no ``typing``, no
``pathlib``, no ``json``. ``tests/unit/cli/test_start_up.py`` holds this module to that.
"""

import os
import stat
import sys
import time

from keystead import __version__

try:
    from _blake2 import blake2b  # what hashlib would return, after it has loaded OpenSSL
except ImportError:
    from hashlib import blake2b

DIRECTORY = "remembered"
"""Where answers are kept, below the state directory."""
LARGEST = 1 << 20
"""Bytes; a file beyond is not one of the small ones."""
PASSING = frozenset({"_", "OLDPWD", "PWD", "SHLVL"})
"""Variables in which shells keep their own books; no decision reads them."""
STATE_FILES = (
    "store.json",
    "credentials.json",
    "credentials.previous.json",
    "bindings.json",
    "expectations.json",
    "notices.json",
    "trust.json",
)
MANAGED = {"darwin": "/Library/Application Support/ClaudeCode", "win32": "C:/Program Files/ClaudeCode"}
ELSEWHERE = "/etc/claude-code"

Content = tuple[int, int, bytes] | None
"""Mode, owner and bytes of a file; None where there is none."""


class Question:
    """Everything a decision reads.

    Attributes:
        path: of the file that answers it.
        texts: what a credential can stand in: the values of the variables, the contents of the files.
    """

    __slots__ = ("path", "texts")

    def __init__(self, path: str, texts: tuple[bytes, ...]) -> None:
        self.path = path
        self.texts = texts


def here() -> Question | None:
    """Return the question of this process, now; None when something about it is unusual."""
    try:
        return ask(dict(os.environ), os.getcwd(), sys.platform, MANAGED.get(sys.platform, ELSEWHERE))
    except (OSError, KeyError, ValueError):
        return None


def ask(variables: dict[str, str], cwd: str, platform: str, managed: str) -> Question:
    """Return the question of one environment.

    Raises:
        OSError: something cannot be read, or is not a small regular file.
        KeyError: it is not said where the home directory is.
    """
    home = variables.get("HOME") or variables["USERPROFILE"]
    state = os.path.join(cwd, variables.get("KEYSTEAD_CONFIG_DIR") or os.path.join(home, ".keystead"))
    agent = os.path.join(cwd, variables.get("CLAUDE_CONFIG_DIR") or os.path.join(home, ".claude"))
    project = os.path.join(cwd, ".claude")
    sdk = os.path.join(cwd, variables.get("ANTHROPIC_CONFIG_DIR") or _sdk_directory(variables, home, platform))
    drop_ins = os.path.join(managed, "managed-settings.d")
    paths = (
        *(os.path.join(drop_ins, name) for name in _names(drop_ins)),
        os.path.join(managed, "managed-settings.json"),
        os.path.join(project, "settings.local.json"),
        os.path.join(project, "settings.json"),
        os.path.join(agent, "settings.json"),
        os.path.join(sdk, "active_config"),
        os.path.join(sdk, "configs", "default.json"),
        *(os.path.join(state, name) for name in STATE_FILES),
    )
    files = tuple((path, _content(path)) for path in paths)
    told = sorted((name, value) for name, value in variables.items() if name not in PASSING)
    another_login = os.path.exists(os.path.join(agent, ".credentials.json"))  # never opened: the legal wall
    places = (cwd, platform, os.path.realpath(project), os.path.realpath(agent))
    question = ascii((_installation(), _user(), places, told, files, another_login))
    texts = (*(os.fsencode(value) for _, value in told), *(content[2] for _, content in files if content))
    return Question(os.path.join(state, DIRECTORY, blake2b(question.encode(), digest_size=32).hexdigest()), texts)


def answer(question: Question, now: float | None = None) -> str | None:
    """Return the credential that the resolver would return, or None when it must be asked."""
    try:
        descriptor = os.open(question.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if status.st_uid != _user() or status.st_mode & 0o022:
            return None
        line = os.read(descriptor, 200)
    finally:
        os.close(descriptor)
    try:
        text, start, end, since, until = map(int, line.split())
        if not line.endswith(b"\n") or not since <= (time.time() if now is None else now) < until:
            return None
        return question.texts[text][start:end].decode("ascii")
    except (ValueError, IndexError):
        return None


def _content(path: str) -> Content:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise OSError(0, "not a small regular file", path)
        data = os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(data) != status.st_size:
        raise OSError(0, "changed while it was read", path)
    return status.st_mode, status.st_uid, data


def _names(directory: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sdk_directory(variables: dict[str, str], home: str, platform: str) -> str:
    if platform != "win32":
        return os.path.join(home, ".config", "anthropic")
    return os.path.join(variables.get("APPDATA") or os.path.join(home, "AppData", "Roaming"), "Anthropic")


def _user() -> int:
    """Whose files can be trusted; where there are no such numbers, files say 0 too."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _installation() -> tuple[str | int, ...]:
    """Another version may decide otherwise, and whatever installs one writes into these directories."""
    package = os.path.dirname(os.path.dirname(__file__))
    return (__version__, *(os.stat(os.path.join(package, part)).st_mtime_ns for part in ("", "sources", "stores")))
