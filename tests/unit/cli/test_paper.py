import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.cli.paper import Paper, duration, moment, relative


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (3660, "1 hour 1 minute"),
        (7322, "2 hours 2 minutes"),
        (86400 * 30 + 3600, "30 days 1 hour"),
        (86400 + 60, "1 day"),
        (-120, "2 minutes"),
    ],
)
def test_a_length_of_time_is_said_as_people_say_it(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_times_are_absolute_and_relative() -> None:
    assert moment(0) == "1970-01-01 00:00 UTC"
    assert relative(100, 40) == "in 1 minute"
    assert relative(40, 100) == "1 minute ago"


@given(st.text(st.characters(categories=["Ll", "Zs"])), st.integers(20, 120), st.integers(0, 10))
def test_wrapped_text_fits_unless_a_word_does_not(text: str, width: int, indent: int) -> None:
    for line in Paper(width).wrap(text, indent):
        assert len(line) <= width or " " not in line.strip(" ")


def test_a_table_puts_text_beside_or_below_its_label() -> None:
    rows = [("Source", "here"), ("Nothing", ""), ("Who pays", "you")]

    assert Paper(80).table(rows) == ["  Source    here", "  Who pays  you"]
    assert Paper(40).table(rows) == ["  Source", "    here", "  Who pays", "    you"]
