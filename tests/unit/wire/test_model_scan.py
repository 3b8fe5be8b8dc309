"""The model a policy sees is the model the upstream will see, or the request is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire.model_scan import BodyFault, RequestFacts, renamed, scan

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["model", "stream", "a"]), inner),
    max_leaves=12,
)
NAME = st.text(st.characters(min_codepoint=33, max_codepoint=1000).filter(str.isprintable), min_size=1, max_size=40)


@given(NAME, st.booleans(), st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.booleans(), st.data())
def test_finds_the_top_level_fields_wherever_they_stand(
    model: str, stream: bool, more: dict[str, Any], escaped: bool, data: st.DataObject
) -> None:
    fields = list({**more, "model": model, "stream": stream}.items())
    body = json.dumps(dict(data.draw(st.permutations(fields))), ensure_ascii=escaped).encode()
    assert scan(body)[:2] == (model, stream)  # type: ignore[index]  # a fault would fail just so


LIMITS = ["max_tokens", "max_completion_tokens", "max_output_tokens"]


@given(st.integers(0, 10**9 - 1), st.integers(0, 2), st.booleans(), st.sampled_from(LIMITS))
def test_tells_how_long_the_answer_may_become(limit: int, indent: int, named_twice: bool, name: str) -> None:
    """In a body that is read at one glance, and in one that is not: there a tool has an input of the same name."""
    tools = [{"input_schema": {"properties": {name: {"type": "integer"}}}}] if named_twice else []
    body = json.dumps({"messages": [], "tools": tools, name: limit, "model": "m"}, indent=indent or None)
    assert scan(body.encode()) == RequestFacts("m", stream=False, max_tokens=limit)


@pytest.mark.parametrize("again", ["", '"tools":[{"max_tokens":900}],'])
def test_of_several_lengths_the_largest_counts(again: str) -> None:
    body = f'{{"model":"m",{again}"max_tokens":1,"max_completion_tokens":9,"max_output_tokens":"7"}}'
    assert scan(body.encode()) == RequestFacts("m", stream=False, max_tokens=9)


@given(st.text())
def test_what_somebody_said_is_no_length(said: str) -> None:
    body = json.dumps({"content": said + '{"max_tokens":999999999}', "max_tokens": 7, "model": "m"})
    assert scan(body.encode()) == RequestFacts("m", stream=False, max_tokens=7)


@pytest.mark.parametrize("limit", ["-1", "1.5", '"7"', "null", "true", "1e3", "1000000000", "[7]"])
def test_a_length_that_cannot_be_counted_with_is_none(limit: str) -> None:
    assert scan(f'{{"model":"m","max_tokens":{limit}}}'.encode()) == RequestFacts("m", stream=False)


@pytest.mark.requirement("G-11 names")
@given(NAME, NAME, st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.booleans(), st.data())
def test_another_name_changes_that_value_and_no_other_byte(
    model: str, other: str, more: dict[str, Any], escaped: bool, data: st.DataObject
) -> None:
    fields = list({**more, "model": model, "stream": True}.items())
    document = dict(data.draw(st.permutations(fields)))
    body = json.dumps(document, ensure_ascii=escaped, indent=1).encode()
    changed = renamed(body, other)
    assert list(json.loads(changed).items()) == list((document | {"model": other}).items())
    was, now = (
        json.dumps(name, ensure_ascii=ascii_only).encode() for name, ascii_only in ((model, escaped), (other, True))
    )
    places = [start for start in range(len(body)) if body.startswith(was, start)]
    assert changed in [body[:start] + now + body[start + len(was) :] for start in places]


@pytest.mark.parametrize(
    "body",
    [
        b'{ "mod\\u0065l" :\t"o\\u006cd" , "x":1.0e2}',
        b'{"tools":[{"model":"old"}],"model":"old"}',
        b'{"x":"\\"model\\":","a":["model",{"model":"m"}],"model":"old","b":{}}',
    ],
)
def test_another_name_finds_the_value_however_it_is_written(body: bytes) -> None:
    changed = renamed(body, 'n"w')
    assert json.loads(changed) == json.loads(body) | {"model": 'n"w'}
    assert changed.count(b'"n\\"w"') == 1


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_is_total(body: bytes) -> None:
    assert isinstance(scan(body), RequestFacts | BodyFault)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"model":"a","model":"b"}', "same field twice"),
        (b'{"model":"a","mod\\u0065l":"b"}', "same field twice"),
        (b'{"\\u006dodel":"a","model":"b"}', "same field twice"),
        (b'{"stream":true,"model":"a","stream":false}', "same field twice"),
        (b'{"Model":"b","model":"a"}', "in other capitals"),
        (b'{"model":"a","MODEL":"b"}', "in other capitals"),
        (b'{"model":"a","\\u004dodel":"b"}', "in other capitals"),
        (b'{"model":"a","tools":[{"model":"a","model":"b"}]}', "has model twice"),
        (b"not json", "line 1, column 1"),
        (b"", "line 1, column 1"),
        (b'{"model":"a"', "not valid JSON"),
        (b'["model"]', "must be a JSON object"),
        (b"{}", "model: Field required"),
        (b'{"messages":[]}', "model: Field required"),
        (b'{"model":7}', "model: must be a string"),
        (b'{"model":""}', "model: must be a string"),
        (b'{"model":"a","stream":"yes"}', "stream: must be true or false"),
        (b'{"model":"' + b"a" * 257 + b'"}', "model: must be a string"),
        (b'{"model":"a"}'.decode().encode("utf-16"), "not UTF-8"),
        (b'\xef\xbb\xbf{"model":"a"}', "not valid JSON"),
        (b'{"model":"a\xff","model ":"b","x":"\\u0041"}', "not UTF-8"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "body",
)
def test_refuses_what_two_parsers_could_read_differently(body: bytes, reason: str) -> None:
    fault = scan(body)
    assert isinstance(fault, BodyFault)
    assert reason in fault.reason


def test_nested_names_and_quoted_json_do_not_count() -> None:
    body = json.dumps(
        {
            "tools": [{"input_schema": {"properties": {"model": {"type": "string"}, "stream": {}}}}],
            "messages": [{"role": "user", "content": '{"model":"evil","stream":true}'}],
            "model": "good",
        }
    ).encode()
    assert scan(body) == RequestFacts("good", stream=False)


def test_what_an_agent_sends_is_read_for_what_it_is() -> None:
    """Its tools have inputs of those names, and what they gave back has colours and code in it."""
    schema = {"properties": {"model": {"enum": ["model", "stream"]}, "max_tokens": {}}, "required": ["model", "stream"]}
    said = '\x1b[31merror\x1b[0m: print("model", {"model": "evil", "stream": False})'
    document = {
        "model": "good",
        "messages": [{"role": "user", "content": [{"type": "tool_result", "content": said}]}],
        "tools": [{"name": "Task", "input_schema": schema}],
        "max_tokens": 32_000,
        "stream": True,
    }
    facts = RequestFacts("good", stream=True, max_tokens=32_000)
    assert scan(json.dumps(document).encode()) == facts
    assert scan(json.dumps(document, indent=2, ensure_ascii=False).encode()) == facts


@pytest.mark.parametrize("name", ["mod\\u0065l", "\\u004dodel", "model\\u005f", "Model"])
def test_a_name_in_other_letters_is_seen_behind_any_number_of_harmless_escapes(name: str) -> None:
    body = b'{"model":"a","x":"' + b"\\u001b[0m\\u00e9" * 400 + b'","%b":"b"}' % name.encode()
    found = scan(body)
    assert isinstance(found, BodyFault) == (name != "model\\u005f")


def test_duplicates_deeper_down_are_the_upstreams_business() -> None:
    body = b'{"model":"good","metadata":{"user_id":"a","user_id":"b"}}'
    assert scan(body) == RequestFacts("good", stream=False)


def test_the_models_that_parts_name_are_found_and_what_was_said_is_not() -> None:
    document = {
        "model": "good",
        "tools": [{"type": "advisor", "model": "second"}, {"name": "x", "model": {}}, "odd"],
        "fallback": {"model": "third"},
        "messages": [{"role": "user", "content": "hi", "model": "said"}],
        "system": [{"type": "text", "text": "hi", "model": "said"}],
        "metadata": {"model": "said"},
    }
    assert scan(json.dumps(document).encode()) == RequestFacts("good", False, ("second", "third"))


NAMES = st.sampled_from(["model", "Model", "mod\\u0065l", "stream", "max_tokens", "tools", "messages", "é"])
VALUES = [
    "7",
    "true",
    "null",
    '"m"',
    '"x\\"model\\":"',
    '[{"model":"z"}]',
    '{"mod\\u0065l":"z"}',
    '[{"a":{"model":{}}}]',
    "[]",
]


@given(st.lists(st.tuples(NAMES, st.sampled_from(VALUES)), max_size=5), st.sampled_from(["", " ", "  "]))
def test_what_is_read_at_one_glance_is_what_a_second_look_finds(more: list[tuple[str, str]], gap: str) -> None:
    """The same with a line end behind it, which no SDK writes, is read the thorough way."""
    members = [f'"{name}":{gap}{value}' for name, value in [("model", '"m"'), *more]]
    body = ("{" + f",{gap}".join(members) + "}").encode()
    assert scan(body) == scan(body + b"\n")


def test_reason_quotes_nothing_of_the_body() -> None:
    fault = scan(b'{"canary": canary}')
    assert isinstance(fault, BodyFault)
    assert "canary" not in fault.reason
