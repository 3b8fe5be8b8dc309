"""The helper's settings."""

from pathlib import Path

import pytest

from keystead.errors import KeysteadError
from keystead.testing.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 300), ("0", 0), ("1500", 1.5), ("-1", 300), ("x", 300), ("", 300), ("1.5", 300), ("\u00b2", 300)],
)
def test_the_helpers_lifetime_is_milliseconds_or_five_minutes(
    machine: Machine, text: str | None, seconds: float
) -> None:
    """Anything but a whole number means the default."""
    machine.settings({"apiKeyHelper": "h"})
    if text is None:
        credential = machine.resolve().require().credential
    else:
        credential = machine.resolve(CLAUDE_CODE_API_KEY_HELPER_TTL_MS=text).require().credential

    assert getattr(credential, "lifetime", None) == seconds


def test_a_helper_that_is_not_a_string_is_named(machine: Machine) -> None:
    """With file and line."""
    machine.settings({"apiKeyHelper": ["a"]})

    with pytest.raises(KeysteadError, match=r"settings.json:2: apiKeyHelper is not a string"):
        machine.resolve().require()
