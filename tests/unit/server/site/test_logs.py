"""A log line never shows a credential, whatever was logged."""

import io
import logging
import subprocess
import sys
from secrets import token_bytes

import pytest

from keystead.server.site.logs import RedactingFormatter, redact
from keystead.wire import tokens

CANARY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize("kind", tokens.TokenKind)
def test_our_own_tokens_are_blanked(kind: tokens.TokenKind) -> None:
    token = tokens.mint(kind, token_bytes)
    assert token[4:] not in redact(f"could not use {token}, really")


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"x-api-key: {CANARY}",
        f"GET /callback?code={CANARY}&state=1",
        f"bearer eyJhbGciOiJFUzI1NiJ9.{CANARY}.sig",
    ],
)
def test_foreign_credentials_are_blanked(text: str) -> None:
    assert "canary" not in redact(text)


def test_a_traceback_names_places_and_no_values() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter())
    try:
        raise ValueError(f"invalid literal: hunter2 {CANARY}")
    except ValueError:
        record = logging.LogRecord("django.request", logging.ERROR, "x", 1, "Failed: %s", ("/keys",), sys.exc_info())
    handler.emit(record)
    line = stream.getvalue()
    assert "Failed: /keys" in line
    assert "ValueError in test_a_traceback_names_places_and_no_values" in line
    assert "hunter2" not in line
    assert line.count("\n") == 1


LOG_ELSEWHERE = """
import logging.config
from keystead.server.site.logs import LOGGING
logging.config.dictConfig(LOGGING)
for name in ("asyncio", "uvicorn.error", "concurrent.futures", "allauth", "any", "keystead.x", "django.x"):
    try:
        raise ValueError("cannot read: hunter2 sk-canary-0123456789abcdef")
    except ValueError:
        logging.getLogger(name).exception("Failed in %s", name)
"""


def test_no_logger_prints_what_an_exception_quotes() -> None:
    """Else what a client sent could stand in a log by way of the event loop or the web server (S-22)."""
    command = [sys.executable, "-c", LOG_ELSEWHERE]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    assert "hunter2" not in said
    assert "canary" not in said
    lines = said.splitlines()
    assert len(lines) == 7
    assert all("ValueError in <module>" in line for line in lines)
