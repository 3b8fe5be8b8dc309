"""Origins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import origin


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Keys.Example.com/v1/messages?x=1", "https://keys.example.com"),
        ("https://keys.example.com:443", "https://keys.example.com"),
        ("http://127.0.0.1:8420/", "http://127.0.0.1:8420"),
        ("http://[::1]:8420/x", "http://[::1]:8420"),
        ("HTTPS://a:8443", "https://a:8443"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, expected: str) -> None:
    """Lower-case, default ports left out."""
    assert origin.parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "keys.example.com",
        "ftp://keys.example.com",
        "https://",
        "https://user@keys.example.com",
        "https://api.anthropic.com@evil.example",
        "https://api.anthropic.com\\@evil.example",
        "https://keys.example.com:99999",
        "https://keys.example.com:x",
        "https://keys. example.com",
        "https://keys.example.com\n",
        "https://k\u00e9ys.example.com",
    ],
)
def test_what_parsers_could_read_differently_is_refused(url: str) -> None:
    """The confusing ones are refused rather than guessed."""
    with pytest.raises(ValueError, match=r"."):
        origin.parse(url)


@given(st.text())
def test_an_origin_is_its_own_origin(text: str) -> None:
    """Parsing is total and idempotent."""
    try:
        found = origin.parse("https://" + text)
    except ValueError:
        return
    assert origin.parse(found) == found
