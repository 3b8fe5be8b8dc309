"""Which of the programs that started this one first had a variable (R-28). Linux only; no value is kept."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MOST: Final = 64


def origin(name: str, root: Path = Path("/"), process: int | None = None) -> str | None:
    """Return the program that must have set ``name``, as a clause; None where that cannot be seen.

    A process shows the variables it was started with. So the outermost one that has it got it from its parent, and
    that is where it was set.
    """
    chain = list(_chain(root, os.getpid() if process is None else process))
    holders = [place for place, one in enumerate(chain) if _has(root, one, name)]
    if not holders:
        return None
    outermost = max(holders)
    if outermost + 1 == len(chain):
        return f"{_title(root, chain[outermost])} had it from the start"
    return f"{_title(root, chain[outermost + 1])} gave it to {_title(root, chain[outermost])}"


def _chain(root: Path, process: int) -> Iterator[int]:
    """Yield the process and its ancestors, as far as they can be seen."""
    for _ in range(_MOST):
        try:
            status = (root / "proc" / str(process) / "stat").read_text()
        except OSError:
            return
        yield process
        process = int(status.rpartition(")")[2].split()[1])  # the name before it may contain anything
        if process <= 0:
            return


def _has(root: Path, process: int, name: str) -> bool:
    try:
        data = (root / "proc" / str(process) / "environ").read_bytes()
    except OSError:  # another user's
        return False
    return any(one.startswith(name.encode() + b"=") for one in data.split(b"\0"))


def _title(root: Path, process: int) -> str:
    status = (root / "proc" / str(process) / "stat").read_text()
    return f"{status.partition('(')[2].rpartition(')')[0]} (process {process})"
