"""Where an agent runs, as its client tells a gateway (S-14): one header, which anybody could send."""

from enum import StrEnum
from typing import Final

HEADER: Final = "x-keystead-surface"


class Surface(StrEnum):
    """Where the client says that it runs."""

    UNSAID = ""
    LOCAL = "local"
    REMOTE = "remote"


def line(surface: Surface) -> str:
    """Return the header as a line, such as ``x-keystead-surface: remote``."""
    return f"{HEADER}: {surface.value}"


def is_line(text: str) -> bool:
    """Whether a text is what :func:`line` gives of a surface, and nothing else."""
    return text in {line(one) for one in Surface if one}
