import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import messages
from keystead.wire.fields import Malformed
from keystead.wire.messages import ApiError, Finished, Question, Stopped, TextDelta
from keystead.wire.sse import Event

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.builds(Question, words, words, st.integers(1, 10**6)))
def test_a_question_comes_back(question: Question) -> None:
    assert messages.parse_question(messages.dump_question(question)) == question


@given(
    st.builds(TextDelta, words)
    | st.builds(Stopped, words)
    | st.just(Finished())
    | st.builds(ApiError, words, words, st.none() | words)
)
def test_a_stream_event_comes_back(event: TextDelta | Stopped | Finished | ApiError) -> None:
    assert messages.parse_event(messages.dump_event(event)) == event


@given(st.builds(ApiError, words, words, st.none() | words))
def test_an_error_comes_back(error: ApiError) -> None:
    assert messages.parse_error(messages.dump_error(error)) == error


@given(st.lists(words).map(tuple))
def test_a_list_of_models_comes_back(ids: tuple[str, ...]) -> None:
    assert messages.parse_models(messages.dump_models(ids)) == ids


@given(st.binary())
def test_reading_an_error_never_fails(body: bytes) -> None:
    assert messages.parse_error(body) is None or isinstance(messages.parse_error(body), ApiError)


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"ping"}',
        '{"type":"message_start","message":{}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"x"}}',
        '{"type":"from_the_future"}',
        "{}",
    ],
)
def test_events_that_need_nothing_are_passed_over(data: str) -> None:
    assert messages.parse_event(Event("x", data)) is None


def test_an_event_that_is_not_json_is_malformed() -> None:
    with pytest.raises(Malformed):
        messages.parse_event(Event("message_stop", "{"))
