"""A log line never shows a credential, whatever was logged."""

import io
import logging
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
