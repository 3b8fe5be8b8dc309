"""The agent's settings file, with lines."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire.settings import MalformedSettings, Setting, Settings, dump, parse

_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _values(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        {name: one.value for name, one in settings.members.items()},
        {name: one.value for name, one in settings.env.items()},
    )


@given(
    members=st.dictionaries(st.text().filter(lambda name: name != "env"), _plain, max_size=5),
    env=st.dictionaries(st.text(), st.text(), max_size=5),
)
def test_what_is_dumped_is_parsed(members: dict[str, Any], env: dict[str, str]) -> None:
    """Dump, then parse, is the identity on values."""
    settings = Settings(
        {name: Setting(value, 1) for name, value in members.items()},
        {name: Setting(value, 1) for name, value in env.items()},
    )

    assert _values(parse(dump(settings))) == (members, env)


def _lines(data: bytes) -> int:
    try:
        settings = parse(data)
    except MalformedSettings as error:
        return error.line
    return max((one.line for one in settings.members.values()), default=1)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_settings_or_a_fault_with_a_line(data: bytes) -> None:
    """Nothing else comes out of the parser."""
    assert _lines(data) >= 1


@given(_plain)
def test_any_json_is_settings_or_a_fault(document: object) -> None:
    """Valid JSON of the wrong shape is a fault, not a crash."""
    assert _lines(json.dumps(document).encode()) >= 1


def test_each_value_knows_its_line() -> None:
    """Lines are those of an editor."""
    settings = parse(
        b'{\n  "model": "x",\n  "env": {\n    "A": "1",\n\n    "B":\n      "2"\n  },\n  "apiKeyHelper": "h"\n}\n'
    )

    assert settings.members["model"].line == 2
    assert settings.members["apiKeyHelper"].line == 9
    assert settings.env["A"].line == 4
    assert settings.env["B"].line == 7


def test_a_repeated_member_counts_once_and_last() -> None:
    """As every JSON reader has it."""
    settings = parse(b'{"a": 1,\n"a": 2}')

    assert (settings.members["a"].value, settings.members["a"].line) == (2, 2)


def test_numbers_and_switches_in_env_are_strings() -> None:
    """People write true and 1 without quotes; a variable is text."""
    settings = parse(b'{"env": {"A": true, "B": 1}}')

    assert (settings.env["A"].value, settings.env["B"].value) == ("true", "1")


def test_an_empty_file_and_a_byte_order_mark_are_fine() -> None:
    """An editor on Windows writes a mark; an empty file says nothing."""
    assert parse(b" \n") == Settings({}, {})
    assert parse(b'\xef\xbb\xbf{"a": 1}').members["a"].value == 1


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b'{\n "a": 1,\n}', 3, "not JSON"),
        (b"[]", 1, "not a JSON object"),
        (b'{\n"env": []}', 2, "env is not an object"),
        (b'{"env": {\n"A": {"b": 1}}}', 2, "env.A is not a string"),
        (b'{\n"a": "\xff"}', 2, "not UTF-8"),
        (b'{"a": NaN}', 1, "do not agree"),
        (b"[" * 100_000, 1, "do not agree"),
        (b'{"a": ' + b"9" * 5000 + b"}", 1, "do not agree"),
    ],
)
def test_a_fault_names_line_and_reason(data: bytes, line: int, reason: str) -> None:
    """Enough to find it, nothing of the value."""
    with pytest.raises(MalformedSettings) as caught:
        parse(data)

    assert caught.value.line == line
    assert reason in caught.value.reason


def test_values_are_hidden() -> None:
    """An env block may hold a key."""
    assert "canary" not in repr(parse(b'{"env": {"ANTHROPIC_API_KEY": "canary"}, "apiKeyHelper": "echo canary"}'))
