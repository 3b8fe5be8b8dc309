"""Columns of cost fill their picture and no more."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from keystead.server.console.charts import HEIGHT, WIDTH, chart


class Used(NamedTuple):
    cost_micro: int
    covered_micro: int

    @property
    def billed_micro(self) -> int:
        return self.cost_micro - self.covered_micro


TALLIES = st.lists(
    st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(lambda pair: Used(max(pair), min(pair))),
    max_size=31,
)


@given(TALLIES)
def test_every_column_stands_in_the_picture_and_the_highest_fills_it(tallies: list[Used]) -> None:
    drawn = chart(tallies)
    assert (drawn.peak is None) == (not any(one.cost_micro for one in tallies))
    if drawn.peak is None:
        assert drawn.columns == ()
        return
    assert len(drawn.columns) == len(tallies)
    for one in drawn.columns:
        assert one.x >= 0
        assert one.x + one.width <= WIDTH
        assert -0.02 <= one.covered_top <= one.top <= HEIGHT
    assert min(one.covered_top for one in drawn.columns) < 0.02
