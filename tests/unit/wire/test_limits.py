"""What a gateway tells of a caller's limits: what is written is read, and nothing else is taken for it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import limits
from keystead.wire.fields import Malformed
from keystead.wire.limits import Standing

ONE = Standing(
    "spl_1", "allowance", "five_hours", {"type": "rbac_group", "rbac_group_id": "grp_1"}, False, "metered", 2000, 1240,
    760, 62, "USD", 1_795_694_460.0, True, False,
)  # fmt: skip

amounts = st.integers(0, 10**14)
standings = st.builds(
    replace,
    st.just(ONE),
    limit_id=st.text(min_size=1),
    source=st.dictionaries(st.text(), st.text()),
    shared=st.booleans(),
    amount=amounts,
    used=amounts,
    remaining=amounts,
    percent=amounts,
    currency=st.none() | st.text(),
    resets_at=st.none() | st.integers(0, 4_000_000_000).map(float),
    is_gradual=st.booleans(),
    is_warning=st.booleans(),
)


@given(st.lists(standings, max_size=4))
def test_what_is_written_is_read(found: list[Standing]) -> None:
    assert limits.parse(limits.dump(found)) == tuple(found)


def test_what_a_newer_server_adds_is_passed_over() -> None:
    body = limits.dump([replace(ONE, measure="images")]).replace(b'"shared"', b'"color":"red","shared"')
    assert limits.parse(body)[0].measure == "images"


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (b"{", b"[", "not JSON"),
        (b'"limits"', b'"list"', "something else"),
        (b'"amount":"2000"', b'"amount":2000', "amount"),
        (b'"used":"1240"', b'"used":"-1"', "used"),
        (b'"remaining":"760"', b'"remaining":"\xd9\xa7"', "remaining"),
        (b'"percent_used":62', b'"percent_used":"62"', "percent_used"),
        (b"T12:01:00Z", b" noon", "resets_at"),
        (b'"shared":false', b'"shared":0', "shared"),
        (b'"type":"rbac_group"', b'"type":5', "source"),
    ],
)
def test_what_it_is_not_is_named(before: bytes, after: bytes, named: str) -> None:
    body = limits.dump([ONE])
    assert before in body
    with pytest.raises(Malformed, match=named):
        limits.parse(body.replace(before, after, 1))
