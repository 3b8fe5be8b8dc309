"""The largest answer a request asks for, found without parsing it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire.answer_size import most_tokens


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (b"", None),
        (b'{"max_tokens":1024}', 1024),
        (b'{"max_tokens" :\n 7}', 7),
        (b'{"max_completion_tokens":5}', 5),
        (b'{"max_output_tokens":6}', 6),
        (b'{"max_tokens":1,"tools":[{"input":{"max_tokens":9}}]}', 9),
        (b'{"max_tokens":"1024"}', None),
    ],
)
def test_the_largest_limit_of_tokens_counts(body: bytes, most: int | None) -> None:
    assert most_tokens(body) == most


@given(st.integers(0, 999_999_999), st.text())
def test_nothing_that_somebody_said_is_taken_for_the_field(tokens: int, said: str) -> None:
    said += '{"max_tokens":999999999}'
    assert most_tokens(json.dumps({"content": said, "max_tokens": tokens}).encode()) == tokens
