"""What OpenAI's formats say of usage is read off them, however the bytes are cut."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_api import CHAT_USAGE_CACHED, RESPONSE_USAGE, chat, responding

from keystead.wire.openai_usage import OpenAIDocumentUsage, OpenAIStreamUsage, document_counts
from keystead.wire.usage import TokenCounts, UsageReader

COUNT = st.integers(0, 10**9)


def fed(reader: UsageReader, data: bytes, positions: list[int]) -> UsageReader:
    edges = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    for start, stop in itertools.pairwise(edges):
        reader.feed(data[start:stop])
    reader.finish()
    return reader


def stream(events: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"


@given(st.booleans(), st.lists(st.integers(0, 10**6), max_size=20))
def test_a_stream_is_read_however_it_is_cut(told: bool, positions: list[int]) -> None:
    asked = {"model": "m", "stream_options": {"include_usage": told}}
    reader = fed(OpenAIStreamUsage(), stream(chat(asked)), positions)
    assert (reader.seen, reader.final) == (told, told)
    assert reader.counts == (TokenCounts(20, 5, 30) if told else TokenCounts())
    assert reader.floor() >= 5


@given(st.lists(st.integers(0, 10**6), max_size=20))
def test_a_response_says_at_its_end_what_it_used(positions: list[int]) -> None:
    assert fed(OpenAIStreamUsage(), stream(responding({"model": "m"})), positions).counts == TokenCounts(30, 7, 10)


@given(COUNT, COUNT, COUNT, st.lists(st.integers(0, 10**6), max_size=20))
def test_cached_input_is_counted_apart(given_input: int, cached: int, output: int, positions: list[int]) -> None:
    details = {"cached_tokens": cached}
    usage = {"prompt_tokens": given_input + cached, "completion_tokens": output, "prompt_tokens_details": details}
    body = json.dumps({"choices": [{"usage": "no"}], "usage": usage}).encode()
    assert fed(OpenAIDocumentUsage(), body, positions).counts == TokenCounts(given_input, output, cached)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (CHAT_USAGE_CACHED, TokenCounts(20, 5, 30)),
        (RESPONSE_USAGE, TokenCounts(30, 7, 10)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, TokenCounts(0, 0, 9)),
        ({"prompt_tokens": -1, "completion_tokens": True, "prompt_tokens_details": []}, TokenCounts()),
    ],
)
def test_odd_counts_do_not_become_negative(usage: dict[str, Any], counts: TokenCounts) -> None:
    assert document_counts(json.dumps({"usage": usage}).encode()) == counts


@given(st.binary(max_size=300))
def test_anything_at_all_is_no_error(data: bytes) -> None:
    assert fed(OpenAIStreamUsage(), b'data: {"usage":' + data + b"\n\n", []).counts.output >= 0
    assert document_counts(b'{"usage":' + data) is None or data
