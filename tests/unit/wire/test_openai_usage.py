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
        ({"prompt_tokens": 0, "completion_tokens": True, "prompt_tokens_details": []}, TokenCounts()),
        ({"prompt_tokens": -1, "completion_tokens": True, "prompt_tokens_details": []}, None),
        ({}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 10**12 + 1}, None),
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 10**30}, TokenCounts(5, 3)),
    ],
)
def test_odd_counts_are_never_negative_and_none_are_none(usage: dict[str, Any], counts: TokenCounts | None) -> None:
    assert document_counts(json.dumps({"usage": usage}).encode()) == counts


@pytest.mark.parametrize(
    ("prompt", "completion", "total", "reasoning", "output"),
    [
        (50, 5, 55, 2, 5),  # within the answer's tokens
        (32, 9, 135, 94, 103),  # beside them, and in the total
        (10, 4, None, 3, 4),
        (10, 4, 3, 0, 4),
    ],
)
def test_reasoning_counts_wherever_the_upstream_puts_it(
    prompt: int, completion: int, total: int | None, reasoning: int, output: int
) -> None:
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    usage |= {"completion_tokens_details": {"reasoning_tokens": reasoning}}
    assert document_counts(json.dumps({"usage": usage}).encode()) == TokenCounts(prompt, output)


def test_what_was_written_to_the_cache_counts_apart() -> None:
    details = {"cached_tokens": 100, "cache_write_tokens": 300}
    usage = {"input_tokens": 1000, "input_tokens_details": details, "output_tokens": 7, "total_tokens": 1007}
    assert document_counts(json.dumps({"usage": usage}).encode()) == TokenCounts(600, 7, 100, 300)
    usage |= {"input_tokens_details": {"cached_tokens": 900, "cache_write_tokens": 300}}
    assert document_counts(json.dumps({"usage": usage}).encode()) == TokenCounts(0, 7, 900, 100)


@given(st.binary(max_size=300))
def test_anything_at_all_is_no_error(data: bytes) -> None:
    assert fed(OpenAIStreamUsage(), b'data: {"usage":' + data + b"\n\n", []).counts.output >= 0
    assert document_counts(b'{"usage":' + data) is None or data
