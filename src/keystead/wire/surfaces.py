"""Where an agent runs, as its client tells a gateway (S-14): one header, which anybody could send."""

from enum import StrEnum
from typing import Final

HEADER: Final = "x-keystead-surface"


class Surface(StrEnum):
    """Where the client says that it runs."""

    UNSAID = ""
    LOCAL = "local"
    REMOTE = "remote"
