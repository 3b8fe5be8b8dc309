"""Mail as files: for an installation without a mail server, where whoever runs the server passes links on."""

import os
from datetime import datetime
from pathlib import Path
from typing import Final

FOLDER: Final = "outbox"


def keep(data_dir: Path, content: bytes, name: str, at: datetime) -> Path:
    """Write one message into a file of mode 0600, in a directory of mode 0700, and return the file.

    Args:
        data_dir: the server's data directory.
        content: the message.
        name: makes the file's name unique.
        at: when, for the file's name, so that the newest is listed last.
    """
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    file = folder / f"{at:%Y%m%dT%H%M%S}-{name}.eml"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
    return file
