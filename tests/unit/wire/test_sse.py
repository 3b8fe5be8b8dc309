import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import sse
from keystead.wire.sse import Event, Parser

names = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: not name.startswith(" ")
)
data = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]))
events = st.lists(st.builds(Event, names, data), max_size=5)


def parse_in_pieces(stream: bytes, cuts: list[int]) -> list[Event]:
    parser, found, start = Parser(), [], 0
    for cut in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        found += parser.feed(stream[start:cut])
        start = cut
    return found


@given(events, st.lists(st.integers(0, 10_000), max_size=20))
def test_events_come_back_however_the_bytes_are_cut(given: list[Event], cuts: list[int]) -> None:
    stream = b"".join(map(sse.dump, given))

    assert parse_in_pieces(stream, cuts) == given


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_cutting_changes_nothing_for_any_bytes(stream: bytes, cuts: list[int]) -> None:
    assert parse_in_pieces(stream, cuts) == parse_in_pieces(stream, [])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_three_line_ends_are_the_same(end: bytes) -> None:
    stream = end.join([b"event: a", b"data: 1", b"data:2", b"", b"x"])

    assert Parser().feed(stream) == [Event("a", "1\n2")]


def test_what_the_standard_says_to_ignore_is_ignored() -> None:
    stream = b"\xef\xbb\xbf: comment\nid: 7\nretry: 1\nunknown: x\ndata\n\nevent: empty\n\ndata:  two\n\n"

    assert Parser().feed(stream) == [Event("message", ""), Event("message", " two")]


def test_an_unfinished_event_is_not_given() -> None:
    assert Parser().feed(b"data: 1\n") == []


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST_EVENT", 100)
    parser = Parser()
    parser.feed(b"data: " + b"x" * 80)

    with pytest.raises(sse.EventTooLarge):
        parser.feed(b"x" * 80)


def test_a_name_with_a_line_break_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="line breaks"):
        sse.dump(Event("a\nb", ""))
