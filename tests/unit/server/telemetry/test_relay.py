"""What becomes of agents' telemetry, by OpenTelemetry's own schema, in both encodings."""

import gzip
import json
import zlib
from typing import Any, Final

import pytest
from collector import Received
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from otlp import REQUESTS, attributes, decoded, encoded, everything, owners, resources

from keystead.server.telemetry.otlp_schema import Malformed, Marks
from keystead.server.telemetry.relay import LARGEST, Body, marked
from keystead.wire.tokens import TokenKind, mint

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ENCODINGS: Final = (PROTOBUF, JSON)
OURS: Final = {"keystead.organization.id": "org_1", "keystead.member.id": "mem_1"}
MARKS: Final = Marks(tuple(OURS.items()))
BARE: Final = MARKS._replace(bare=True)
SAID: Final = "the prompt canary"


def passed(path: str, content_type: str, data: bytes, marks: Marks = MARKS, encoding: str = "") -> Any:
    """Return the message that a collector gets."""
    body = marked(Body(path.removeprefix("/v1/"), content_type, encoding, data), marks)
    assert body.content_type == content_type
    headers = {"content-type": content_type, "content-encoding": body.encoding}
    return decoded(Received(path, headers, body.data))


def planted(path: str, name: str, value: str) -> Any:
    """Return a request with an attribute in every place where there are any."""
    message = everything(path)
    for _, found in owners(message):
        found.add(key=name).value.string_value = value
    return message


def without_ours(message: Any) -> Any:
    """Take away what this server adds; fails where it is missing."""
    for of in resources(message):
        added = of.resource.attributes[-len(OURS) :]
        assert {one.key: one.value.string_value for one in added} == OURS
        del of.resource.attributes[-len(OURS) :]
    return message


@pytest.mark.parametrize("content_type", ENCODINGS)
@pytest.mark.parametrize("path", REQUESTS)
def test_all_passes_and_each_resource_says_whose_it_is(path: str, content_type: str) -> None:
    sent = planted(path, "agent.own", SAID)
    sent.MergeFrom(planted(path, "agent.own", "another"))
    found = passed(path, content_type, encoded(sent, content_type))
    assert len(list(resources(found))) == 2
    assert without_ours(found) == sent


@pytest.mark.parametrize("content_type", ENCODINGS)
@pytest.mark.parametrize("path", REQUESTS)
def test_nobody_else_sets_what_says_so(path: str, content_type: str) -> None:
    data = encoded(planted(path, "keystead.member.id", "mem_other"), content_type)
    found = passed(path, content_type, data)
    assert "mem_other" not in str(found)
    for owner, _ in owners(found):
        values = [one.value.string_value for one in getattr(owner, "attributes", ()) if one.key.startswith("keystead.")]
        assert values == (list(OURS.values()) if type(owner).__name__ == "Resource" else [])


@pytest.mark.parametrize("content_type", ENCODINGS)
@pytest.mark.parametrize("path", REQUESTS)
def test_a_resource_is_made_where_there_is_none(path: str, content_type: str) -> None:
    sent = everything(path)
    for of in resources(sent):
        of.ClearField("resource")
    (of,) = resources(passed(path, content_type, encoded(sent, content_type)))
    assert attributes(of.resource) == OURS


@pytest.mark.parametrize(
    "forged",
    [
        {"resource_metrics": [{"resource": {"attributes": [{"key": "keystead.member.id", "value": {}}]}}]},
        {"resourceMetrics": [{"Resource": {"ATTRIBUTES": [{"Key": "keystead.member.id", "value": {}}]}}]},
        {"resourceMetrics": [{"scope_metrics": [{"scope": {"attributes": [{"key": "keystead.member.id"}]}}]}]},
    ],
)
def test_no_spelling_of_a_name_gets_past(forged: dict[str, Any]) -> None:
    for data in (json.dumps(forged), json.dumps(forged).replace("keystead", "\\u006beystead")):
        (of,) = resources(passed("/v1/metrics", JSON, data.encode()))
        assert attributes(of.resource) == OURS
        assert all(type(owner).__name__ == "Resource" for owner, _ in owners(of))


@pytest.mark.requirement("S-22 telemetry")
@pytest.mark.parametrize("content_type", ENCODINGS)
def test_where_nothing_is_kept_metrics_are_numbers_and_words(content_type: str) -> None:
    sent = planted("/v1/metrics", "agent.last", SAID)
    for _, found in owners(sent):
        found.add(key=f"{SAID}.").value.string_value = "x"
        found.add(key="list").value.array_value.values.add().string_value = "prompt-canary"
        found.add(key="map").value.kvlist_value.values.add(key="prompt-canary").value.int_value = 1
        found.add(key="bytes").value.bytes_value = b"prompt-canary"
        found.add(key="model").value.string_value = "claude-sonnet-4-5"
        found.add(key="share").value.double_value = 0.5
        found.add(key="cached").value.bool_value = True
    for of in resources(sent):
        of.scope_metrics[0].metrics[0].description = SAID
    found = passed("/v1/metrics", content_type, encoded(sent, content_type), BARE)
    assert "canary" not in str(found)
    assert "Exemplar" not in [type(owner).__name__ for owner, _ in owners(found)]
    (of,) = resources(found)
    kept = {"model": "claude-sonnet-4-5", "share": 0.5, "cached": True}
    assert attributes(of.resource) == kept | OURS
    before, after = (one.scope_metrics[0].metrics for one in (next(resources(sent)), of))
    for metric, bare in zip(before, after, strict=True):
        assert (metric.name, metric.unit) == (bare.name, bare.unit)
        kind = metric.WhichOneof("data")
        points, left = getattr(metric, kind).data_points, getattr(bare, kind).data_points
        for point, other in zip(points, left, strict=True):
            assert [attributes(one).get("model") for one in (point, other)] == ["claude-sonnet-4-5"] * 2
            for one in (point, other):
                one.ClearField("attributes")
                _ = kind == "summary" or one.ClearField("exemplars")
            assert point == other


@pytest.mark.requirement("S-22 telemetry")
@pytest.mark.parametrize("content_type", ENCODINGS)
@pytest.mark.parametrize("other", ["/v1/logs", "/v1/traces"])
def test_where_nothing_is_kept_no_other_signal_passes_for_metrics(content_type: str, other: str) -> None:
    sent = everything(other)
    for _, found in owners(sent):
        found.add(key="prompt").value.string_value = SAID
    for of in getattr(sent, "resource_logs", ()):
        of.scope_logs[0].log_records[0].body.string_value = SAID
    data = encoded(sent, content_type)
    try:
        found = passed("/v1/metrics", content_type, data, BARE)
    except Malformed:
        return
    assert "canary" not in str(found)


TOKEN: Final = mint(TokenKind.API_KEY, lambda size: b"\3" * size)
VENDORS: Final = "sk-ant-api03-canary0123456789abcdefgh"


@pytest.mark.requirement("otlp-http credentials")
@pytest.mark.parametrize("content_type", ENCODINGS)
@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("secret", [TOKEN, VENDORS])
def test_a_credential_that_an_agent_saw_is_masked_wherever_it_told_of_it(
    path: str, content_type: str, secret: str
) -> None:
    said = f'curl -H "x-api-key: {secret}" \u2603'
    sent = planted(path, "command", said)
    for _, found in owners(sent):
        found.add(key="list").value.array_value.values.add().kvlist_value.values.add(key="x").value.string_value = said
    for of in getattr(sent, "resource_logs", ()):
        of.scope_logs[0].log_records[0].body.kvlist_value.values.add(key="prompt").value.string_value = said
    for of in getattr(sent, "resource_spans", ()):
        span = of.scope_spans[0].spans[0]
        span.name = span.status.message = span.events[0].name = said
    for of in getattr(sent, "resource_metrics", ()):
        of.scope_metrics[0].metrics[0].description = said
        for metric in of.scope_metrics[0].metrics:
            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                if hasattr(point, "exemplars"):
                    del point.exemplars[:]  # one with a credential is left out
    found = passed(path, content_type, encoded(sent, content_type))
    assert secret not in str(found)
    expected = text_format.Parse(str(sent).replace(secret, "[redacted]"), type(sent)())
    assert without_ours(found) == expected


def test_an_example_with_a_credential_is_left_out() -> None:
    sent = planted("/v1/metrics", "command", TOKEN)
    for content_type in ENCODINGS:
        found = passed("/v1/metrics", content_type, encoded(sent, content_type))
        assert TOKEN not in str(found)


def test_values_in_values_without_end_are_refused() -> None:
    value = b"\x0a" + bytes([len(TOKEN)]) + TOKEN.encode()
    for _ in range(20_000):
        array = b"\x0a" + _length(value) + value
        value = b"\x2a" + _length(array) + array
    body = b"\x2a" + _length(value) + value
    for number in (2, 2, 1):
        body = bytes([number << 3 | 2]) + _length(body) + body
    with pytest.raises(Malformed):
        marked(Body("logs", PROTOBUF, "", body), MARKS)


def _length(data: bytes) -> bytes:
    value, found = len(data), b""
    while value > 0x7F:
        value, found = value >> 7, found + bytes([value & 0x7F | 0x80])
    return found + bytes([value])


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_was_compressed_is_compressed_again(path: str, encoding: str) -> None:
    data = encoded(everything(path), PROTOBUF)
    packed = zlib.compress(data) if encoding == "deflate" else gzip.compress(data[:9]) + gzip.compress(data[9:])
    assert without_ours(passed(path, PROTOBUF, packed, encoding=encoding)) == everything(path)


BOMB: Final = gzip.compress(b"\x0a\x00" * (LARGEST // 2 + 1), mtime=0)
GOOD: Final = encoded(everything("/v1/logs"), PROTOBUF)


@pytest.mark.requirement("otlp-http malformed")
@pytest.mark.parametrize(
    ("content_type", "encoding", "data"),
    [
        (PROTOBUF, "", b"{}"),
        (PROTOBUF, "", GOOD[:-1]),
        (PROTOBUF, "", b"\x0a\x00" + b"\x0b\x0c"),
        (PROTOBUF, "", b"\x08\x01"),
        (PROTOBUF, "", b"\x12\x00"),
        (PROTOBUF, "", b"\x0a\x06\x0a\x00\x0a\x02\x0a\x00"),
        (PROTOBUF, "", b"\x0a" + b"\xff" * 10),
        (PROTOBUF, "gzip", GOOD),
        (PROTOBUF, "gzip", gzip.compress(GOOD, mtime=0)[:-4]),
        (PROTOBUF, "gzip", gzip.compress(GOOD, mtime=0) + b"more"),
        (PROTOBUF, "gzip", BOMB),
        (JSON, "", GOOD),
        (JSON, "", b"{}"),
        (JSON, "", b"[]"),
        (JSON, "", b'{"resourceLogs": []}'),
        (JSON, "", b'{"resourceSpans": [{}]}'),
        (JSON, "", b'{"resourceLogs": {}}'),
        (JSON, "", b'{"resourceLogs": [1]}'),
        (JSON, "", b'{"resourceLogs": [{"scopeLogs": "said"}]}'),
        (JSON, "", b'{"resourceLogs": [{}], "resource_logs": [{}]}'),
        (JSON, "", b'{"resourceLogs": [{"resource": {"attributes": [{"key": 1}]}}]}'),
        (JSON, "", b'{"resourceLogs": [{"x": NaN}]}'),
        (JSON, "", b'{"resourceLogs": [{"x": 1e999}]}'),
        (JSON, "", b'{"resourceLogs": [{"x": ' + b"[" * 100_000),
        (JSON, "", b'{"resourceLogs": [{"x": "\xff"}]}'),
    ],
)
def test_what_is_no_message_is_refused_without_a_word_of_it(content_type: str, encoding: str, data: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        marked(Body("logs", content_type, encoding, data), MARKS)
    assert str(raised.value) == ""


@given(data=st.binary(max_size=200), path=st.sampled_from(sorted(REQUESTS)), bare=st.booleans())
def test_noise_is_refused_or_passes_as_what_it_is(data: bytes, path: str, bare: bool) -> None:
    for content_type in ENCODINGS:
        try:
            body = marked(Body(path[4:], content_type, "", data), MARKS._replace(bare=bare))
        except Malformed:
            continue
        assert b"org_1" in body.data


@given(
    cut=st.integers(0, 2000), noise=st.binary(max_size=4), path=st.sampled_from(sorted(REQUESTS)), bare=st.booleans()
)
def test_damage_never_lets_a_forged_attribute_past_the_schema(cut: int, noise: bytes, path: str, bare: bool) -> None:
    whole = encoded(planted(path, "keystead.member.id", "mem_other"), PROTOBUF)
    data = whole[: cut % len(whole)] + noise + whole[cut % len(whole) :]
    try:
        body = marked(Body(path[4:], PROTOBUF, "", data), MARKS._replace(bare=bare))
    except Malformed:
        return
    message = REQUESTS[path]()
    try:
        message.ParseFromString(body.data)
    except DecodeError:
        return  # a collector refuses it
    for owner, found in owners(message):
        ours = [one.value.string_value for one in found if one.key.startswith("keystead.")]
        assert ours in ([], list(OURS.values())), type(owner).__name__
        assert not ours or type(owner).__name__ == "Resource"
