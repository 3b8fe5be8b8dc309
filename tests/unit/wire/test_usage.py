"""The usage readers equal the truth, however the answer is cut."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire.usage import DocumentUsage, StreamUsage, TokenCounts, UsageReader

COUNT = st.integers(0, 10**9)
TEXT = (
    st.sampled_from(["hello", 'the "usage" is high', '{"usage":{"output_tokens":7}}', "größe\n\n", "data: usage"])
    | st.text()
)


def event(kind: str, **fields: Any) -> bytes:
    document = json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {document}\n\n".encode()


def delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


def feed(reader: UsageReader, pieces: list[bytes]) -> TokenCounts:
    for piece in pieces:
        reader.feed(piece)
    reader.finish()
    return reader.counts


@given(COUNT, COUNT, COUNT, COUNT, st.lists(TEXT, max_size=5), st.lists(st.integers(0, 10**6), max_size=40))
def test_stream_counts_equal_what_the_upstream_said(
    given_input: int, output: int, cache_read: int, cache_write: int, texts: list[str], positions: list[int]
) -> None:
    start = {
        "input_tokens": given_input,
        "output_tokens": 1,
        "cache_read_input_tokens": cache_read,
        "cache_creation_input_tokens": cache_write,
        "service_tier": "standard",
    }
    stream = b"".join(
        [
            event("message_start", message={"id": "msg_1", "content": [], "usage": start}),
            event("ping"),
            *map(delta, texts),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": output}),
            event("message_stop"),
        ]
    )
    reader = StreamUsage()
    assert feed(reader, cut(stream, positions)) == TokenCounts(given_input, output, cache_read, cache_write)
    assert reader.final


@given(COUNT, COUNT, TEXT, st.lists(st.integers(0, 10**6), max_size=20))
def test_document_counts_equal_what_the_upstream_said(
    given_input: int, output: int, text: str, positions: list[int]
) -> None:
    content = [{"type": "text", "text": text}, {"type": "tool_use", "input": {"usage": {"output_tokens": 1}}}]
    usage = {"input_tokens": given_input, "output_tokens": output}
    document = json.dumps({"content": content, "usage": usage}).encode()
    assert feed(DocumentUsage(), cut(document, positions)) == TokenCounts(given_input, output)


@given(
    COUNT,
    st.recursive(
        st.none() | TEXT | COUNT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["usage", "a", "b"]), inner),
    ),
    st.booleans(),
    st.sampled_from([None, (",", ":"), (", ", ": ")]),
)
def test_document_counts_are_those_of_the_top_level_wherever_usage_stands(
    output: int, other: Any, last: bool, separators: tuple[str, str] | None
) -> None:
    usage = {"output_tokens": output, "nested": other}
    document = {"content": other, "usage": usage} if last else {"usage": usage, "content": other}
    text = json.dumps(document, separators=separators).encode()
    assert feed(DocumentUsage(), [text]) == TokenCounts(output=output)
    without = json.dumps({"content": other, "message": {"usage": usage}}, separators=separators).encode()
    assert feed(DocumentUsage(), [without]) == TokenCounts()


def test_later_counts_replace_earlier_ones() -> None:
    stream = event("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}}) + event(
        "message_delta", usage={"input_tokens": 9, "output_tokens": 20, "cache_read_input_tokens": None}
    )
    assert feed(StreamUsage(), [stream]) == TokenCounts(9, 20)


def test_line_ends_of_windows_are_understood() -> None:
    stream = event("message_start", message={"usage": {"input_tokens": 5}}).replace(b"\n", b"\r\n")
    assert feed(StreamUsage(), [stream]) == TokenCounts(5)


@pytest.mark.parametrize(
    "stream", [b'data: {broken "usage"\n\n', b'data: ["usage"]\n\n', b'data: {"usage":"x","type":"message_delta"}\n\n']
)
def test_nonsense_counts_nothing(stream: bytes) -> None:
    assert feed(StreamUsage(), [stream]) == TokenCounts()


@given(
    st.lists(
        st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=400), max_size=8
    )
)
def test_floor_stays_below_four_characters_a_token(texts: list[str]) -> None:
    reader = StreamUsage()
    reader.feed(event("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}}))
    for text in texts:
        reader.feed(delta(text))
    assert 1 <= reader.floor() <= max(1, sum(map(len, texts)) // 4)


def test_floor_of_a_long_stream_is_near_the_truth() -> None:
    reader = StreamUsage()
    reader.feed(event("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}}))
    for _ in range(100):
        reader.feed(delta("x" * 400))
    assert 9_500 <= reader.floor() <= 10_000


@given(st.lists(st.integers(0, 10**6), max_size=9))
def test_floor_does_not_depend_on_how_the_stream_is_cut(positions: list[int]) -> None:
    start = event("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}})
    reader = StreamUsage()
    feed(reader, cut(event("ping") + start + delta("x" * 4000) + event("ping"), positions))
    assert 950 <= reader.floor() <= 1000


def test_the_hour_of_the_cache_and_the_searches_are_told_inside_objects_of_their_own() -> None:
    start = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    }
    last = {"output_tokens": 7, "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1}}
    stream = event("message_start", message={"usage": start}) + event("message_delta", usage=last)
    assert feed(StreamUsage(), [stream]) == TokenCounts(5, 7, 0, 30, 20, 3)
    document = json.dumps({"content": [], "usage": start | last}, separators=(",", ":")).encode()
    assert feed(DocumentUsage(), [document]) == TokenCounts(5, 7, 0, 30, 20, 3)


@pytest.mark.parametrize("odd", [None, 1, "x", [], {}, {"ephemeral_1h_input_tokens": "2"}, {"web_search_requests": -1}])
def test_an_odd_object_inside_usage_counts_nothing(odd: Any) -> None:
    usage = {"input_tokens": 5, "cache_creation": odd, "server_tool_use": odd}
    document = json.dumps({"usage": usage}).encode()
    assert feed(DocumentUsage(), [document]) == TokenCounts(5)


@given(st.lists(st.integers(0, 10**6), max_size=20))
def test_a_stream_that_is_an_error_from_the_start_used_nothing(positions: list[int]) -> None:
    """Which is certain, so it is no estimate; one that fails later keeps what was said."""
    said = "Overloaded, which is said at some length. " * 9
    failed = event("error", error={"type": "overloaded_error", "message": said})
    reader = StreamUsage()
    assert feed(reader, cut(failed, positions)) == TokenCounts()
    assert (reader.seen, reader.final) == (True, True)
    begun = event("message_start", message={"usage": {"input_tokens": 7, "output_tokens": 1}}) + failed
    reader = StreamUsage()
    assert feed(reader, cut(begun, positions)) == TokenCounts(7, 1)
    assert not reader.final


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"input_tokens": 10**12 + 1},
        {"output_tokens": 10**30},
        {"input_tokens": "12"},
        {"input_tokens": -1, "output_tokens": None},
        {"odd": 1},
    ],
)
@pytest.mark.parametrize("separators", [None, (",", ":")])
def test_usage_without_a_count_says_nothing(usage: dict[str, Any], separators: tuple[str, str] | None) -> None:
    """Or it would be a request that used nothing, for certain (G-01)."""
    document = DocumentUsage()
    feed(document, [json.dumps({"content": [], "usage": usage}, separators=separators).encode()])
    stream = StreamUsage()
    feed(stream, [event("message_start", message={"usage": usage}) + event("message_delta", usage=usage)])
    for reader in (document, stream):
        assert (reader.seen, reader.final, reader.counts) == (False, False, TokenCounts())


def test_a_stream_without_its_last_word_is_seen_but_not_final() -> None:
    stream = StreamUsage()
    feed(stream, [event("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}}), delta("x" * 400)])
    feed(stream, [event("error", error={"type": "overloaded_error", "message": "Overloaded"})])
    assert (stream.seen, stream.final, stream.counts) == (True, False, TokenCounts(5, 1))


def test_noughts_at_the_end_of_a_stream_take_back_nothing_but_the_answer() -> None:
    start = {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9, "output_tokens": 1}
    last = {"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 0}
    stream = event("message_start", message={"usage": start}) + event("message_delta", usage=last)
    assert feed(StreamUsage(), [stream]) == TokenCounts(5, 0, 7, 9)


def iteration(kind: Any, *counts: int, **more: Any) -> dict[str, Any]:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return {"type": kind, **dict(zip(names, counts, strict=True)), **more}


ITERATIONS = [
    iteration("compaction", 180_000, 3_500, 20, 30, cache_creation={"ephemeral_1h_input_tokens": 10}),
    iteration("message", 23_000, 1_000, 0, 0),
    iteration("advisor_message", 800, 1_600, 0, 0, model="claude-opus-5"),
    iteration("fallback_message", 9, 9, 9, 9, model="claude-opus-5"),
    iteration([], 9, 9, 9, 9),
]
WITH_ITERATIONS = TokenCounts(23_000 + 180_800, 1_000 + 5_100, 20, 30, 10)


@given(st.booleans(), st.integers(1, 3), st.lists(st.integers(0, 10**6), max_size=20))
def test_summaries_and_advisers_within_a_request_count(again: bool, times: int, positions: list[int]) -> None:
    """Their tokens are paid for, and stand among the iterations only; however often they are said."""
    last = {"output_tokens": 1_000, "iterations": ITERATIONS} | ({"input_tokens": 23_000} if again else {})
    stream = event("message_start", message={"usage": {"input_tokens": 23_000, "output_tokens": 1}})
    stream += event("message_delta", usage=last) * times
    assert feed(StreamUsage(), cut(stream, positions)) == WITH_ITERATIONS
    document = json.dumps({"usage": {"input_tokens": 23_000, **last}}, separators=(",", ":")).encode()
    assert feed(DocumentUsage(), cut(document, positions)) == WITH_ITERATIONS


@pytest.mark.parametrize("odd", [None, 1, "x", {}, [None, 3, [], {"type": "compaction"}], [{"iterations": [[]]}]])
def test_odd_iterations_count_nothing(odd: Any) -> None:
    document = json.dumps({"usage": {"input_tokens": 5, "iterations": odd}}).encode()
    assert feed(DocumentUsage(), [document]) == TokenCounts(5)


@pytest.mark.parametrize(
    ("usage", "tariff"),
    [
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, ""),
        ({"service_tier": None, "speed": None, "inference_geo": "not_available"}, ""),
        ({"speed": "fast"}, "fast"),
        ({"speed": "fast", "inference_geo": "us", "service_tier": "priority"}, "fast priority us"),
        ({"speed": ["fast"], "inference_geo": "US of A", "service_tier": "x" * 17}, ""),
    ],
)
def test_what_else_changes_the_price_is_read_wherever_it_is_said(usage: dict[str, Any], tariff: str) -> None:
    document = json.dumps({"usage": {"input_tokens": 5, **usage}}).encode()
    assert feed(DocumentUsage(), [document]) == TokenCounts(5, tariff=tariff)
    start = event("message_start", message={"usage": {"input_tokens": 5, **usage}})
    for last in ({"output_tokens": 7}, {"output_tokens": 7, **usage}):
        assert feed(StreamUsage(), [start + event("message_delta", usage=last)]) == TokenCounts(5, 7, tariff=tariff)
