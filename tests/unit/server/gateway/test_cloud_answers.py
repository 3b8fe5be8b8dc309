"""Answers of the clouds as answers of the Messages API, however the bytes are cut."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.upstreams import bedrock, foreign, vertex
from keystead.testing.messages_api.answers import encode_event
from keystead.wire import event_stream, sse
from keystead.wire.event_stream import CONTENT_TYPE, Message, dump, dump_event
from keystead.wire.http1 import ChunkedBody, MalformedResponse, ResponseHead, parse_head
from keystead.wire.model_scan import RequestFacts
from keystead.wire.usage import StreamUsage

if TYPE_CHECKING:
    from keystead.server.gateway.upstream import Connection, Failure

FACTS = RequestFacts("m", stream=True)
ASKED_HEAD = RequestHead({}, b"")
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "é\U0001f600"}},
    {"type": "message_delta", "usage": {"output_tokens": 42, "cache_read_input_tokens": 3}},
    {"type": "message_stop"},
]
SSE = b"".join(map(encode_event, EVENTS))
STREAM = b"".join(dump_event(event) for event in sse.Parser().feed(SSE))
HEAD = parse_head(f"HTTP/1.1 200 OK\r\ncontent-type: {CONTENT_TYPE}\r\ntransfer-encoding: chunked".encode())


class Asked:
    """Whoever asked, who notes what comes."""

    connection: "Connection | None" = None
    gone = False

    def __init__(self) -> None:
        self.heads: list[ResponseHead] = []
        self.raw = self.payload = b""
        self.ended = False

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        self.heads.append(head)

    def on_body(self, raw: bytes, payload: bytes) -> None:
        self.raw += raw
        self.payload += payload

    def on_end(self) -> None:
        self.ended = True

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        self.heads.append(head)
        self.payload, self.ended = body, True

    def on_failure(self, failure: "Failure") -> None:
        raise failure


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.lists(st.integers(0, 10_000), max_size=20))
def test_a_stream_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    asked = Asked()
    answer = bedrock.Answer(asked, ASKED_HEAD, FACTS)
    answer.on_head(HEAD, more=False)
    for piece in pieces(STREAM, cuts):
        answer.on_body(b"framed differently", piece)
    answer.on_end()
    framing = ChunkedBody()
    usage = StreamUsage()
    usage.feed(asked.payload)
    assert (asked.payload, asked.ended, asked.heads[0].content_type) == (SSE, True, b"text/event-stream")
    assert (framing.feed(asked.raw), framing.done, framing.surplus) == (SSE, True, 0)
    assert (usage.counts.input, usage.counts.output, usage.counts.cache_read) == (7, 42, 3)


def test_a_stream_in_one_piece_is_a_stream() -> None:
    asked = Asked()
    bedrock.Answer(asked, ASKED_HEAD, FACTS).on_answer(HEAD, STREAM)
    assert (asked.payload, asked.ended, asked.heads[0].chunked) == (SSE, True, True)


def test_an_exception_in_the_middle_is_an_error_event() -> None:
    asked = Asked()
    answer = bedrock.Answer(asked, ASKED_HEAD, FACTS)
    answer.on_head(HEAD, more=True)
    headers = {":message-type": "exception", ":exception-type": "throttlingException"}
    answer.on_body(b"", dump(Message(headers, b'{"message":"Too many tokens"}')))
    assert b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error"' in asked.payload
    assert b"Too many tokens" in asked.payload


@pytest.mark.parametrize("stream", [STREAM[:-1], STREAM[:20], STREAM[:-2] + b"xx", STREAM + b"\0" * 12])
def test_a_stream_that_is_cut_off_or_broken_is_no_answer(stream: bytes) -> None:
    answer = bedrock.Answer(Asked(), ASKED_HEAD, FACTS)
    answer.on_head(HEAD, more=True)

    def all_of_it() -> None:
        answer.on_body(b"", stream)
        answer.on_end()

    with pytest.raises(MalformedResponse, match="event stream"):
        all_of_it()


def test_a_document_passes_as_it_is() -> None:
    asked, head = Asked(), parse_head(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9")
    bedrock.Answer(asked, ASKED_HEAD, FACTS).on_answer(head, b'{"a":1.0}')
    assert (asked.heads, asked.payload) == ([head], b'{"a":1.0}')


AMAZONS = b"\r\nx-amzn-ErrorType: ThrottlingException:http://internal.amazon.com/coral/"


@pytest.mark.parametrize(
    ("status", "fields", "body", "kind", "words"),
    [
        (429, AMAZONS, b'{"message":"Too many"}', "rate_limit_error", "Too many"),
        (400, b"", b'{"Message":"messages: too long"}', "invalid_request_error", "messages: too long"),
        (403, b"", b'{"error":{"code":403,"message":"No","status":"PERMISSION_DENIED"}}', "permission_error", "No"),
        (404, b"", b'[{"error":{"code":404,"message":"Not found"}}]', "not_found_error", "Not found"),
        (401, b"", b'{"error":"invalid_grant"}', "authentication_error", "invalid_grant"),
        (503, b"", b"<html>busy</html>", "api_error", "<html>busy</html>"),
        (500, b"", b"", "api_error", "The upstream answered 500 and gave no reason."),
        (500, b"", b"\xff" + b"[" * 90_000, "api_error", "\ufffd" + "[" * 90_000),
        (500, b"", b"[" * 90_000, "api_error", "[" * 90_000),
        (502, b"", b'{"error":[7]}', "api_error", "The upstream answered 502 and gave no reason."),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_an_error_gets_the_envelope_and_keeps_its_words(
    status: int, fields: bytes, body: bytes, kind: str, words: str, whole: bool
) -> None:
    asked = Asked()
    answer = vertex.Answer(asked, ASKED_HEAD, FACTS)
    head = parse_head(b"HTTP/1.1 %d No\r\ncontent-type: text/html\r\nretry-after: 7%b" % (status, fields))
    if whole:
        answer.on_answer(head, body)
    else:
        answer.on_head(head, more=False)
        for piece in pieces(body, [3, 9]):
            answer.on_body(piece, piece)
        answer.on_end()
    (made,) = asked.heads
    assert json.loads(asked.payload) == {"type": "error", "error": {"type": kind, "message": words}}
    assert (made.status, made.content_type, made.length) == (status, b"application/json", len(asked.payload))
    assert b"\r\nretry-after: 7" in made.fields


def test_an_error_in_messages_form_stays_as_it_is() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}, "x":1.0}'
    assert foreign.envelope(HEAD, body) == body


def test_an_error_without_end_is_no_answer() -> None:
    answer = vertex.Answer(Asked(), ASKED_HEAD, FACTS)
    answer.on_head(parse_head(b"HTTP/1.1 500 No"), more=True)
    with pytest.raises(MalformedResponse):
        answer.on_body(b"", b"x" * ((1 << 20) + 1))


def test_the_parser_says_whether_a_message_is_unfinished() -> None:
    parser = event_stream.MessagesParser()
    parser.feed(STREAM[:-1])
    assert parser.unfinished
    parser.feed(STREAM[-1:])
    assert not parser.unfinished
