"""Keys that lie in files where they do not belong: the project, shell histories, shell files (S-13, R-17).

Bounded in files and bytes. Shows place, sort and a salted fingerprint, never the key. Follows no link and runs no
program: ``git`` in somebody else's repository would run what its configuration says.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keystead.cli.doctor.finding import Finding, Ground, Weight, read_text
from keystead.credentials.patterns import leaks

MOST_FILES: Final = 5_000
MOST_BYTES: Final = 50_000_000
LARGEST: Final = 500_000
_SKIPPED: Final = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        "node_modules",
        ".venv",
        "venv",
        "__pycache__",
        ".mypy_cache",
        ".tox",
        "target",
        "vendor",
        "site-packages",
    }
)
NEVER_OPENED: Final = frozenset({".credentials.json", "auth.json", "oauth_creds.json", "credentials.json"})
"""Names under which products keep their own logins: those are theirs, and Keystead's own are where they belong."""
AT_HOME: Final = (
    ".bash_history", ".zsh_history", ".local/share/fish/fish_history", ".python_history", ".node_repl_history",
    ".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".zprofile", ".config/fish/config.fish", ".env",
)  # fmt: skip


def look(ground: Ground) -> Iterator[Finding]:
    """Look at the files of the project and at the usual ones at home."""
    environment = ground.environment
    tracked = _tracked(environment.cwd)
    files = [environment.home / name for name in AT_HOME]
    agent = environment.agent_dir / "settings.json"
    count = size = 0
    inside = sorted(
        _project(environment.cwd, environment.home, environment.state_dir),
        key=lambda path: path.relative_to(environment.cwd).as_posix() not in tracked,  # what others get comes first
    )
    for path in (*files, agent, *inside):
        text = read_text(path, LARGEST)
        if text is None:
            continue
        count, size = count + 1, size + len(text)
        if count > MOST_FILES or size > MOST_BYTES:
            yield Finding(Weight.NOTE, f"only the first {count - 1} files were looked at", str(environment.cwd))
            return
        name = path.relative_to(environment.cwd).as_posix() if path.is_relative_to(environment.cwd) else ""
        yield from _found(path, text, ground, tracked=name in tracked)


def _found(path: Path, text: str, ground: Ground, *, tracked: bool) -> Iterator[Finding]:
    for leak in leaks(text):
        where = f"{ground.environment.display(path)}:{leak.line}"
        known = ", and git tracks this file" if tracked else ""
        yield Finding(
            Weight.PROBLEM, f"{leak.kind} lies here in the open{known}", where, _fix(path, leak.line, tracked=tracked),
            leak.secret.fingerprint(ground.salt),
        )  # fmt: skip


def _fix(path: Path, line: int, *, tracked: bool) -> str:
    if tracked:
        return "Revoke the key where it was issued: removing the line leaves it in the history."
    if "history" in path.name:
        return f"Revoke the key if others can read this; remove the line with: sed -i.bak '{line}d' {path}"
    return "Revoke the key if others have seen it; keep the new one in a file of mode 0600, a keyring or a helper."


def _project(directory: Path, home: Path, state: Path) -> Iterator[Path]:
    """Yield regular files below ``directory``; in the home directory or above it, only those at the top."""
    deep = not home.is_relative_to(directory)
    for root, folders, names in os.walk(directory, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and Path(root, name) != state)
        if not deep:
            folders.clear()
        if "CACHEDIR.TAG" in names:  # bford.info/cachedir: made by a program, and made again
            folders.clear()
            continue
        for name in sorted(names):
            path = Path(root, name)
            if name not in NEVER_OPENED and not path.is_symlink():
                yield path


def _tracked(directory: Path) -> frozenset[str]:
    """Return the files below ``directory`` that git tracks, read from its index (versions 2 and 3)."""
    root = next((one for one in (directory, *directory.parents) if (one / ".git/index").is_file()), None)
    if root is None:
        return frozenset()
    try:
        data = (root / ".git/index").read_bytes()
        below = directory.relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        return frozenset(name.removeprefix(prefix) for name in _index(data) if name.startswith(prefix))
    except (OSError, ValueError, struct.error):
        return frozenset()


def _index(data: bytes) -> Iterator[str]:
    """Yield the names in a git index: a header of 12 bytes, then entries padded to 8 (gitformat-index)."""
    magic, version, entries = struct.unpack_from(">4sII", data)
    if magic != b"DIRC" or version not in (2, 3):
        raise ValueError(version)
    start = 12
    for _ in range(entries):
        flags = struct.unpack_from(">H", data, start + 60)[0]
        name = start + (64 if flags & 0x4000 else 62)
        end = data.index(b"\0", name)
        yield data[name:end].decode("utf-8", "replace")
        start += (end - start) // 8 * 8 + 8
