from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed


@given(st.binary())
def test_any_bytes_are_an_object_or_malformed(body: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(Fields.parse(body, "document"), Fields)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_object_is_named(body: bytes) -> None:
    with pytest.raises(Malformed):
        Fields.parse(body, "document")


@pytest.mark.parametrize(
    ("document", "read"),
    [
        (b'{"a": 1}', lambda given: given.text("a")),
        (b"{}", lambda given: given.text("a")),
        (b'{"a": ""}', lambda given: given.text("a")),
        (b'{"a": []}', lambda given: given.optional_text("a")),
        (b'{"a": "1"}', lambda given: given.number("a")),
        (b'{"a": true}', lambda given: given.number("a")),
        (b'{"a": -1}', lambda given: given.number("a")),
        (b'{"a": NaN}', lambda given: given.number("a")),
        (b'{"a": Infinity}', lambda given: given.number("a")),
        (b"{}", lambda given: given.number("a")),
        (b'{"a": 1}', lambda given: given.flag("a")),
        (b'{"a": "x"}', lambda given: given.texts("a")),
        (b'{"a": [1]}', lambda given: given.texts("a")),
        (b'{"a": 1}', lambda given: given.object("a")),
        (b'{"a": [1]}', lambda given: given.objects("a")),
    ],
)
def test_a_field_of_the_wrong_type_is_named_without_its_value(document: bytes, read: object) -> None:
    assert callable(read)
    with pytest.raises(Malformed, match=r"\ba\b"):
        read(Fields.parse(document, "document"))


def test_absent_fields_have_their_empty_value() -> None:
    empty = Fields.parse(b"{}", "document")

    assert (empty.optional_text("a"), empty.flag("a"), empty.texts("a"), empty.objects("a")) == (None, False, (), ())
    assert empty.object("a").optional_text("b") is None
    assert empty.number("a", 5) == 5.0


def test_dump_leaves_out_what_is_none() -> None:
    assert fields.dump({"a": None, "b": "ü"}) == '{"b":"ü"}'.encode()
