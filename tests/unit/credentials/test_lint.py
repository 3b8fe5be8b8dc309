"""Values that can be sent, and the character to blame when not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.credentials.lint import LONGEST, clean
from keystead.errors import MalformedSecret


def test_trailing_line_breaks_are_trimmed() -> None:
    """`echo key > file` adds one; nobody means it."""
    assert clean("sk-key\r\n\n", "KEY").reveal() == "sk-key"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" ", "blank"),
        ("\n", "blank"),
        ("canary\nkey", "a line break at character 7"),
        ("canary\rkey", "a carriage return at character 7"),
        ("\ufeffcanary", "a byte order mark at character 1"),
        ("canary\u00a0key", "a no-break space at character 7"),
        ("canary ", "a space at character 7"),
        ("can\tary", "a tab at character 4"),
        ("\u201ccanary\u201d", "a typographic quote at character 1"),
        ("can\x00ary", "a control character at character 4"),
        ("canar\u00ff", "a non-ASCII character at character 6"),
        ("Bearer canary", "the word Bearer"),
        ('"canary"', "quotes"),
        ("k" * (LONGEST + 1), "longer than"),
    ],
)
def test_an_error_names_position_and_class_and_not_the_value(text: str, says: str) -> None:
    """Enough to correct it, nothing to leak."""
    with pytest.raises(MalformedSecret) as caught:
        clean(text, "ANTHROPIC_API_KEY")

    assert says in caught.value.message
    assert "ANTHROPIC_API_KEY" in caught.value.message
    assert "canary" not in caught.value.message + (caught.value.hint or "")


@given(st.text())
def test_what_passes_fits_in_a_header(text: str) -> None:
    """Printable ASCII without white space, or an error."""
    try:
        value = clean(text, "KEY").reveal()
    except MalformedSecret:
        return
    assert value.isascii()
    assert value.isprintable()
    assert " " not in value
