"""The identity token of this machine, read at the moment it is exchanged and kept nowhere."""

import os
import stat
from pathlib import Path

from keystead.credentials.federation import Federation
from keystead.credentials.lint import LONGEST, clean
from keystead.errors import ConfigurationError, UnreadableFile
from keystead.secret import Secret


def read(federation: Federation, cwd: Path) -> Secret:
    """Return the identity token of ``federation``; a relative path counts from ``cwd``.

    Platforms write the file for the process and let others of its machine read it, so its mode is their choice.

    Raises:
        UnreadableFile: there is no such file, or it is not a text of sensible length.
        MalformedSecret: what is in it cannot be an identity token.
    """
    if federation.identity_token is not None:
        return federation.identity_token
    if federation.identity_file is None:
        raise ConfigurationError("Federation needs an identity token.", hint="Set ANTHROPIC_IDENTITY_TOKEN_FILE.")
    path = cwd / federation.identity_file
    data = _content(path)
    if len(data) > LONGEST:
        raise UnreadableFile(f"{path} is too long for an identity token.", hint="Point at the projected token itself.")
    try:
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path} is not text.", hint="Point at the projected token itself.") from None
    if not text:
        raise UnreadableFile(f"{path} is empty.", hint="Check how the platform mounts the identity token.")
    return clean(text, f"the identity token in {path}")


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnreadableFile(f"{path} is not a regular file.", hint="Point at the projected token itself.")
            return file.read(LONGEST + 1)
    except OSError as error:
        raise UnreadableFile(
            f"The identity token {path} cannot be read: {(error.strerror or type(error).__name__).lower()}.",
            hint="Check how the platform mounts the identity token, and that this user may read it.",
        ) from None
