import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import dates


@given(st.integers(0, 253402300799))
def test_a_date_comes_back(timestamp: int) -> None:
    assert dates.parse(dates.dump(timestamp)) == timestamp


def test_the_example_of_the_rfc() -> None:
    assert dates.parse("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777.0
    assert dates.dump(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.text())
def test_any_text_is_a_date_or_none(text: str) -> None:
    assert dates.parse(text) is None or isinstance(dates.parse(text), float)


@pytest.mark.parametrize(
    "text", ["", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nuv 1994 08:49:37 GMT"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert dates.parse(text) is None
