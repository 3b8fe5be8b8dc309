"""``doctor --fix`` and ``doctor undo``: modes and places, never content; written down before it is done."""

import json
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from keystead.cli.doctor.finding import Repair
from keystead.errors import UnreadableFile
from keystead.stores.files import Files, read_private

SCHEMA: Final = "keystead.doctor-repairs/1"
LOG: Final = "doctor.json"
ASIDE: Final = "doctor"


def apply(repairs: Iterable[Repair], directory: Path) -> list[str]:
    """Make the repairs and remember how to take them back; return what was done, a sentence each.

    Args:
        repairs: the state directory's own first, for the log is written there.
        directory: the state directory.
    """
    wanted = list(repairs)
    done = []
    steps = [_step(repair, directory) for repair in wanted]
    for repair in wanted:
        if repair.path == directory and repair.mode is not None:
            directory.chmod(repair.mode)
    if steps:
        Files().put(directory / LOG, json.dumps({"schema": SCHEMA, "steps": steps}, indent=1).encode() + b"\n")
    for repair, step in zip(wanted, steps, strict=True):
        if repair.mode is not None:
            repair.path.chmod(repair.mode)
        else:
            Path(step["aside"]).parent.mkdir(mode=0o700, exist_ok=True)
            repair.path.rename(step["aside"])
        done.append(repair.sentence)
    return done


def undo(directory: Path) -> list[str]:
    """Take the last repairs back, newest first; return what was done, a sentence each.

    Raises:
        UnreadableFile: what was repaired cannot be read.
    """
    done = []
    for step in reversed(_steps(directory / LOG)):
        path = Path(step["path"])
        with suppress(FileNotFoundError):  # gone since, or never done
            if "mode" in step:
                path.chmod(step["mode"])
                done.append(f"chmod {step['mode']:o} {path}")
            else:
                Path(step["aside"]).rename(path)
                done.append(f"put {path} back")
    (directory / LOG).unlink(missing_ok=True)
    return done


def _step(repair: Repair, directory: Path) -> dict[str, Any]:
    if repair.mode is None:
        return {"path": str(repair.path), "aside": str(directory / ASIDE / repair.path.name.lstrip("."))}
    return {"path": str(repair.path), "mode": stat.S_IMODE(repair.path.stat().st_mode)}


def _steps(log: Path) -> list[dict[str, Any]]:
    data = read_private(log)
    if data is None:
        return []
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA:
            raise ValueError(SCHEMA)
        return [
            {
                "path": str(one["path"]),
                **({"mode": int(one["mode"])} if "mode" in one else {"aside": str(one["aside"])}),
            }
            for one in document["steps"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableFile(f"{log} is damaged.", hint=f"Remove {log}; nothing is undone.") from None
