"""What a helper prints is a key, or an object that says until when it is good."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire.fields import Malformed
from keystead.wire.helper_output import HelperOutput, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sk-1", HelperOutput("sk-1")),
        ('{"token": "sk-1"}', HelperOutput("sk-1")),
        ('{"token": "sk-1", "expires_at": null, "more": []}', HelperOutput("sk-1")),
        ('{"token": "sk-1", "expires_at": 1000}', HelperOutput("sk-1", 1000.0)),
        ('{"token": "sk-1", "expires_at": "1970-01-01T00:16:40Z"}', HelperOutput("sk-1", 1000.0)),
        ('{"token": "sk-1", "expires_at": "1970-01-01T01:16:40+01:00"}', HelperOutput("sk-1", 1000.0)),
        ('{"kind": "ExecCredential", "status": {"token": "sk-1"}}', HelperOutput("sk-1")),
        (
            '{"kind": "ExecCredential", "status": {"token": "sk-1", "expirationTimestamp": "1970-01-01T00:16:40Z"}}',
            HelperOutput("sk-1", 1000.0),
        ),
    ],
)
def test_both_shapes_are_read(text: str, expected: HelperOutput) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("{}", "has no token"),
        ('{"token": ""}', "has no token"),
        ('{"token": ["sk-1"]}', "token in the printed object is not a string"),
        ('{"token": "sk-1", "expires_at": "tomorrow"}', "expires_at in the printed object is not a time"),
        ('{"token": "sk-1", "expires_at": -1}', "expires_at in the printed object is not a number"),
        ('{"kind": "ExecCredential", "spec": {}}', "has no token"),
    ],
)
def test_an_object_of_another_shape_names_the_field_and_not_the_key(text: str, named: str) -> None:
    with pytest.raises(Malformed, match=named) as refused:
        parse(text)
    assert "sk-1" not in str(refused.value)


@given(st.text())
def test_whatever_is_printed_is_a_key_or_is_refused(text: str) -> None:
    try:
        assert isinstance(parse(text).token, str)
    except Malformed:
        assert text.startswith("{")


@given(st.text(min_size=1), st.floats(0, 1e12))
def test_a_key_comes_out_of_an_object_as_it_went_in(token: str, end: float) -> None:
    assert parse(json.dumps({"token": token, "expires_at": end})) == HelperOutput(token, end)
