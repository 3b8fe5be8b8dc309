"""Requests and answers in a cloud's own format: what a path says, what a body becomes, and how an answer is put."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.gateway.clients import addresses, bedrock, names, request
from keystead.server.gateway.ports import Kind, Upstream
from keystead.server.gateway.refusals import Refusal
from keystead.testing.messages_api.answers import encode_event
from keystead.wire import event_stream, sse
from keystead.wire.http1 import ChunkedBody, MalformedResponse, parse_head
from keystead.wire.members import members

ID = re.compile(r"[A-Za-z0-9_:@\[\]./-]{1,256}")
ARN = "arn:aws:bedrock:us-east-1:111122223333:"
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "é\U0001f600"}},
    {"type": "message_delta", "usage": {"output_tokens": 42}, "unknown": [1.0, 12345678901234567890]},
    {"type": "message_stop"},
]
SSE = b"".join(map(encode_event, EVENTS))


class Connection:
    """A client's connection that notes what is written to it. Implements ``Client``."""

    def __init__(self, *, old: bool = False) -> None:
        self.written = b""
        self.ends: list[str] = []
        self.old = old

    def write(self, data: bytes) -> None:
        self.written += data

    def awaiting(self, seconds: float) -> None:
        self.ends.append("awaiting")

    def closes_after(self) -> bool:
        return self.old

    def is_old(self) -> bool:
        return self.old

    def refuse(self, refusal: Refusal) -> None:
        self.ends.append("refused")

    def finished(self, *, close: bool) -> None:
        self.ends.append("closed" if close else "finished")

    def cut(self) -> None:
        self.ends.append("cut")

    def answer(self) -> tuple[bytes, bytes]:
        """Return the head and the body without chunks, having checked that the body ends."""
        head, _, rest = self.written.partition(b"\r\n\r\n")
        body = parse_head(head).body()
        payload = body.feed(rest)
        assert body.done or self.ends == ["closed"]
        assert body.surplus == 0
        return head, payload


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def spoken(payload: bytes) -> list[tuple[str, Any]]:
    """Return what botocore finds in an event stream: kind and payload of each message."""
    buffer = EventStreamBuffer()
    buffer.add_data(payload)
    return [(one.headers.get(":exception-type", "chunk"), json.loads(one.payload)) for one in buffer]


def framed(payload: bytes, cuts: list[int], framing: str) -> list[bytes]:
    """Return what an exchange writes for a body: the head first, then pieces."""
    lines = {"chunked": b"transfer-encoding: chunked", "close": b"connection: close"}
    about = lines.get(framing, b"content-length: %d" % len(payload))
    head = b"HTTP/1.1 200 \r\ncontent-type: text/event-stream\r\n%b\r\nx-request-id: req_1\r\n\r\n" % about
    parts = pieces(payload, cuts)
    if framing == "chunked":
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
        parts = pieces(chunks, cuts)
    return [head + parts[0], *parts[1:]]


@given(st.lists(st.integers(0, 10_000), max_size=20), st.sampled_from(["chunked", "close", "length"]), st.booleans())
def test_a_stream_is_the_same_for_amazons_clients_however_it_is_cut(cuts: list[int], framing: str, old: bool) -> None:
    connection = Connection(old=old)
    answers = bedrock.Answers(connection)
    for part in framed(SSE, cuts, framing):
        answers.write(part)
    answers.finished(close=old)
    head, payload = connection.answer()
    assert b"content-type: application/vnd.amazon.eventstream" in head
    assert b"x-amzn-requestid: req_1" in head
    assert (b"transfer-encoding: chunked" in head) is not old
    said = [event.data for event in event_stream.MessagesParser().feed(payload)]
    assert said == [event.data for event in sse.Parser().feed(SSE)]
    assert [kind for kind, _ in spoken(payload)] == ["chunk"] * len(EVENTS)


@pytest.mark.parametrize("size", range(0, len(SSE), 29))
@pytest.mark.parametrize("old", [False, True])
def test_a_stream_that_is_cut_ends_with_an_exception(size: int, old: bool) -> None:
    connection = Connection(old=old)
    answers = bedrock.Answers(connection)
    answers.write(framed(SSE[:size], [], "close")[0])
    answers.cut()
    _, payload = connection.answer()
    kind, document = spoken(payload)[-1]
    assert (kind, connection.ends) == ("modelStreamErrorException", ["closed"])
    assert "broke off" in document["message"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("overloaded_error", "serviceUnavailableException"),
        ("rate_limit_error", "throttlingException"),
        ("invalid_request_error", "validationException"),
        ("timeout_error", "modelTimeoutException"),
        ("api_error", "internalServerException"),
        ("permission_error", "modelStreamErrorException"),
        ("something_new", "internalServerException"),
    ],
)
def test_an_error_in_a_stream_is_an_exception_of_amazons(kind: str, name: str) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "So it is."}}
    ((found, document),) = spoken(bedrock.frame(sse.Event("error", json.dumps(error))))
    assert (found, document) == (name, {"message": "So it is."})
    ((found, document),) = spoken(bedrock.frame(sse.Event("error", "odd")))
    assert (found, document) == ("internalServerException", {"message": "odd"})


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize(
    ("status", "body", "name", "message"),
    [
        (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"No.","x":1.0}}',
         "ValidationException", "No."),
        (402, b'{"type":"error","error":{"type":"billing_error","message":"No."}}',
         "ServiceQuotaExceededException", "No."),
        (503, b"<html>", "ServiceUnavailableException", "<html>"),
        (418, b"", "ValidationException", "The upstream answered 418 and gave no reason."),
        (500, b'["a"]', "InternalServerException", '["a"]'),
    ],
)  # fmt: skip
def test_an_error_has_amazons_message_and_the_rest_of_its_body(
    framing: str, status: int, body: bytes, name: str, message: str
) -> None:
    connection = Connection()
    answers = bedrock.Answers(connection)
    for part in framed(body, [3, 7], framing):
        answers.write(part.replace(b" 200 ", b" %d " % status))
    answers.finished(close=framing == "close")
    head, payload = connection.answer()
    assert f"x-amzn-errortype: {name}".encode() in head
    document = json.loads(payload)
    assert document["message"] == message
    if body.startswith(b"{"):
        assert payload.endswith(body[1:])


def test_what_amazon_itself_named_stays() -> None:
    connection = Connection()
    lines = b"x-amzn-errortype: ModelErrorException\r\nx-amzn-requestid: a\r\nx-request-id: b\r\ncontent-length: 2"
    bedrock.Answers(connection).write(b"HTTP/1.1 424 \r\n%b\r\n\r\n{}" % lines)
    head, _ = connection.answer()
    assert head.lower().count(b"x-amzn-errortype") == head.lower().count(b"x-amzn-requestid") == 1


@pytest.mark.parametrize(("size", "reason"), [(1 << 20, None), ((1 << 20) + 1, "too long")])
def test_an_error_without_end_is_not_kept(size: int, reason: str | None) -> None:
    answers = bedrock.Answers(Connection())
    start = b"HTTP/1.1 500 \r\ntransfer-encoding: chunked\r\n\r\n"
    if reason is None:
        answers.write(start + b"%x\r\n%b\r\n" % (size, b"x" * size))
        return
    with pytest.raises(MalformedResponse, match=reason):
        answers.write(start + b"%x\r\n%b\r\n" % (size, b"x" * size))


def test_an_event_without_end_is_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST_EVENT", 64)
    answers = bedrock.Answers(Connection())
    answers.write(framed(b"", [], "close")[0])
    with pytest.raises(MalformedResponse, match="too large"):
        answers.write(b"data: " + b"x" * 100)


def test_everything_else_of_a_connection_is_the_clients_own() -> None:
    connection = Connection()
    answers = bedrock.Answers(connection)
    answers.awaiting(1.0)
    answers.refuse(Refusal(400, "No."))
    answers.cut()
    assert (connection.ends, answers.closes_after(), answers.is_old()) == (["awaiting", "refused", "cut"], False, False)
    answers.write(b"HTTP/1.1 200 \r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n{")
    answers.write(b"  }")
    assert connection.answer()[1] == b"{  }"


# -- requests ---------------------------------------------------------------------------------------------------------


def value(depth: int = 2) -> Any:
    """Values as JSON texts, odd ones among them."""
    plain = st.sampled_from(['"a"', '"\\ud800"', "1.0", "-0", "1e5", "9" * 40, "true", "null", '"\u00e9"', '"model"'])
    return plain if not depth else plain | st.lists(value(depth - 1), max_size=2).map(lambda v: f"[{' , '.join(v)}]")


OTHERS = st.dictionaries(st.text("abcxyz_", min_size=1, max_size=5), value(), max_size=4)


@given(OTHERS, st.booleans(), st.booleans())
def test_every_other_member_keeps_its_text(others: dict[str, str], stream: bool, spaced: bool) -> None:
    gap = " \n" if spaced else ""
    own = {"anthropic_version": '"vertex-2023-10-16"', "stream": "true", "model": '"own"', "anthropic_beta": '["b"]'}
    text = "{" + ",".join(f'{gap}"{name}"{gap}:{gap}{text}{gap}' for name, text in (own | others).items()) + "}"
    turned = request.in_messages_form(text.encode(), b"", "m", stream=stream)
    found = [(one.name, one.value.decode()) for one in members(turned.body)]
    first = [("model", '"m"')] + ([("stream", "true")] if stream else [])
    assert found == first + list(others.items())
    assert turned.version == "vertex-2023-10-16"


@pytest.mark.parametrize(
    ("lines", "body", "expected"),
    [
        (b"", {}, b"anthropic-version: 2023-06-01\r\n"),
        (b"", {"anthropic_version": "bedrock-2023-05-31"}, b"anthropic-version: 2023-06-01\r\n"),
        (b"", {"anthropic_version": "2026-10-21"}, b"anthropic-version: 2026-10-21\r\n"),
        (b"anthropic-version: 2024-01-01\r\n", {}, b"anthropic-version: 2024-01-01\r\n"),
        (
            b"x-a: 1\r\naccept: x/y\r\nanthropic-beta: b-1, b-2\r\nanthropic-beta: b-3\r\n",
            {"anthropic_beta": ["b-2", "b-4", 7], "user_profile_id": "u"},
            b"anthropic-version: 2023-06-01\r\nanthropic-beta: b-1,b-2,b-3,b-4\r\nanthropic-user-profile-id: u\r\n",
        ),
    ],
)
def test_what_is_about_the_format_becomes_headers(lines: bytes, body: dict[str, Any], expected: bytes) -> None:
    turned = request.in_messages_form(json.dumps(body).encode(), lines, "m", stream=False)
    kept = b"x-a: 1\r\n" if b"x-a" in lines else b""
    assert turned.lines == kept + b"content-type: application/json\r\n" + expected


@pytest.mark.parametrize("name", ["anthropic_beta", "anthropic_version", "user_profile_id"])
@pytest.mark.parametrize("text", ["a\r\nx-api-key: b", "\u00e9", "\0"])
def test_no_text_of_the_body_becomes_a_header_of_its_own(name: str, text: str) -> None:
    def asked() -> request.Request:
        return request.in_messages_form(json.dumps({name: text}).encode(), b"", "m", stream=False)

    if name == "anthropic_version":  # only a date becomes a header
        assert asked().lines.count(b"\r\n") == 2
        return
    with pytest.raises(Refusal, match="printable ASCII"):
        asked()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff{}", b"{} {}", b'{"anthropic_beta": [}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="not a JSON object"):
        request.in_messages_form(body, b"", "m", stream=False)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b'{"input":1}', b'{"input":{"converse":{}}}', b'{"input":{"invokeModel":{"body":""}}}',
        b'{"input":{"invokeModel":{"body":"?"}}}', b'{"input":{"invokeModel":{"body":"e30"}}}',
        b'{"input":{"invokeModel":{"body":"W10="}}}',
    ],
)  # fmt: skip
def test_a_count_of_nothing_that_is_known_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        request.counted(body, b"", "m", stream=False)
    assert refused.value.status == 400


# -- addresses --------------------------------------------------------------------------------------------------------

MODELS = [
    "anthropic.claude-3-haiku-20240307-v1:0",
    "us-gov.anthropic.claude-x",
    "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "claude-x@20260101",
    "claude-sonnet-4-5[1m]",
    ARN + "inference-profile/us.anthropic.claude-x-v1:0",
    ARN + "application-inference-profile/a1b2c3",
    ARN + "custom-model/anthropic.claude-x:1:200k/a1b2",
    "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/anthropic.claude-x",
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("safe", ["", ":", ":@"])
def test_a_models_name_is_read_however_a_client_encodes_it(model: str, safe: str) -> None:
    found = addresses.of_bedrock(f"/model/{quote(model, safe=safe)}/invoke", b"")
    assert found == (b"/v1/messages", True, model, False)
    place = "/projects/example.com%3Ap-1/locations/eu/publishers/anthropic/models"
    assert addresses.of_vertex(f"{place}/{quote(model, safe=safe)}:streamRawPredict", b"").model == model


@given(st.text("a.%2FfEe5c/\\:@;\0\n ?#", max_size=12) | st.text(max_size=8))
def test_whatever_a_path_says_a_name_has_no_way_out_of_it(written: str) -> None:
    readers: list[tuple[Callable[[str, bytes], addresses.Address], str]] = [
        (addresses.of_bedrock, f"/model/{written}/invoke"),
        (addresses.of_vertex, f"/projects/p/locations/l/publishers/anthropic/models/{written}:rawPredict"),
        (addresses.of_vertex, f"/projects/{written}/locations/l/publishers/anthropic/models/m:rawPredict"),
    ]
    for reader, path in readers:
        try:
            model = reader(path, b"").model
        except Refusal:
            continue
        assert ID.fullmatch(model)
        assert ".." not in model
        assert "/" not in model or model.startswith("arn:")


def test_a_query_is_kept_where_the_format_is_the_messages_apis() -> None:
    assert addresses.of_foundry("/anthropic/v1/messages", b"beta=true").target == b"/v1/messages?beta=true"
    assert addresses.of_bedrock("/model/m/invoke", b"beta=true").target == b"/v1/messages"


@pytest.mark.parametrize(
    ("own", "vendors"),
    [
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"),
        ("global.anthropic.claude-opus-5", "claude-opus-5"),
        ("us-gov.anthropic.claude-opus-5-v1", "claude-opus-5"),
        (ARN + "inference-profile/eu.anthropic.claude-opus-5-v1:0", "claude-opus-5"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5-v1:0", "claude-opus-5"),
        (ARN + "application-inference-profile/claude-opus-5", ARN + "application-inference-profile/claude-opus-5"),
        (ARN + "custom-model/anthropic.claude-opus-5/x", ARN + "custom-model/anthropic.claude-opus-5/x"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-5@default", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@2025", "claude-sonnet-4-5@2025"),
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
    ],
)
def test_a_clouds_name_is_taken_back_to_the_vendors(own: str, vendors: str) -> None:
    assert names.in_messages_form(own, Kind.BEDROCK, ()) == vendors


def test_what_an_administrator_wrote_down_comes_first() -> None:
    opaque = ARN + "application-inference-profile/a1b2"
    amazons = Upstream("upst_1", "a", Kind.BEDROCK, "", models={"claude-x": opaque, "anthropic.claude-y": "z"})
    googles = Upstream("upst_2", "g", Kind.VERTEX, "", models={"other": opaque})
    assert names.in_messages_form(opaque, Kind.BEDROCK, [googles, amazons]) == "claude-x"
    assert names.in_messages_form("anthropic.claude-y", Kind.BEDROCK, [amazons]) == "anthropic.claude-y"
    assert names.in_messages_form(opaque, Kind.FOUNDRY, [googles, amazons]) == opaque


def test_chunks_of_a_stream_are_whole_messages() -> None:
    connection = Connection()
    answers = bedrock.Answers(connection)
    answers.write(framed(b"", [], "close")[0])
    before = connection.written
    for event in EVENTS:
        answers.write(encode_event(event))
        sent, before = connection.written[len(before) :], connection.written
        ((kind, _),) = spoken(ChunkedBody().feed(sent))
        assert kind == "chunk"
