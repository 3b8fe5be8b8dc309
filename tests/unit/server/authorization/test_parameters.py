"""Reading parameters: a round trip for whatever is allowed, a refusal for everything else."""

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from keystead.server.authorization.parameters import parse_body, parse_query
from keystead.server.authorization.refusals import Refusal

PRINTABLE = st.text(max_size=50).filter(str.isprintable)
PARAMETERS = st.dictionaries(st.text(max_size=20).filter(lambda name: name.isprintable()), PRINTABLE, max_size=20)
TYPES = st.sampled_from(["application/json", "application/x-www-form-urlencoded", "", "x/y; z"])


@given(PARAMETERS)
def test_what_is_written_is_read_the_same_from_form_query_and_json(parameters: dict[str, str]) -> None:
    expected = {name: value for name, value in parameters.items() if value}
    form = urlencode(parameters)
    assert parse_query(form) == expected
    assert parse_body("application/x-www-form-urlencoded", form.encode()) == expected
    assert parse_body("application/json", json.dumps(parameters).encode()) == expected


@given(TYPES, st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_give_parameters_or_a_refusal(media_type: str, body: bytes) -> None:
    found = parsed(media_type, body)
    if isinstance(found, Refusal):
        assert found.error == "invalid_request"
    else:
        assert all(isinstance(value, str) and value for value in found.values())


def parsed(media_type: str, body: bytes) -> Mapping[str, str] | Refusal:
    try:
        return parse_body(media_type, body)
    except Refusal as refusal:
        return refusal
