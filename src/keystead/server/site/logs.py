"""What the control plane logs: one line an event, never a credential.

A message can quote what a client sent and an exception can quote a value, so the formatter has the last word: it
blanks everything that looks like a credential, and prints of a traceback only where it happened.
"""

import logging
import re
import traceback
from types import TracebackType
from typing import Any, Final

from keystead.secret import REDACTED

_CREDENTIAL: Final = re.compile(
    r"ks[a-z]_[0-9A-Za-z]+"  # one of ours
    r"|eyJ[\w-]+\.[\w.-]*"  # a JWT
    r"|sk-[\w-]{8,}"  # an upstream's key
    r"|(?<=bearer )\S+"
    r"|(?<=code=)[^&\s]+",
    re.IGNORECASE,
)

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def redact(text: str) -> str:
    """Return ``text`` with everything that looks like a credential blanked."""
    return _CREDENTIAL.sub(REDACTED, text)


class RedactingFormatter(logging.Formatter):
    """Time, level, logger and message on one line, redacted."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record)).replace("\n", " | ")

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802  # the name is logging's
        """Return the exception's class and its frames; its message may quote what must not be logged."""
        frames = traceback.extract_tb(ei[2])
        places = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames))
        return f"{ei[0].__name__ if ei[0] else 'error'} in {places}"

    def formatStack(self, stack_info: str) -> str:  # noqa: ARG002, N802
        return ""


LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"redacting": {"()": "keystead.server.site.logs.RedactingFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "redacting"}},
    # Whatever else logs: an event loop, a web server and a pool of threads print exceptions with what they quote.
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        # Below an error it reports each 4xx, and a device that polls for its code is answered 400 every five seconds.
        "django.request": {"level": "ERROR"},
        "keystead": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
