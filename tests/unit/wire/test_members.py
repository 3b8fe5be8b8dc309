"""Members of a JSON object taken out and put in, with every other character as it was."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keystead.wire.members import edited, members, plain, replaced

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
names = st.sampled_from(["model", "stream", "messages", "", "é", 'a"b', "x:y,{}"])


@given(st.dictionaries(names, values), st.sets(names), st.sampled_from([None, 1, " \t"]), st.booleans())
def test_what_is_left_means_what_it_meant(
    document: dict[str, object], without: set[str], indent: object, ascii_only: bool
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)  # type: ignore[arg-type]
    made = json.loads(edited(text.encode("utf-8", "surrogatepass"), without, {"new": [1]}))
    left = {name: value for name, value in document.items() if name not in without}
    assert list(made.items()) == [("new", [1]), *left.items()]
    assert [one.name for one in members(text.encode("utf-8"))] == list(document)


PIECES = [
    '"a"',
    '"b"',
    '"\\u0061"',
    '"a\\""',
    ":",
    ": ",
    ",",
    ", ",
    "{",
    "}",
    "[",
    "]",
    "1",
    "true",
    '"x,"a":1,"',
    " ",
    "\n",
    "é",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from([":", ": "]), st.sampled_from([",", ", "]))
@example(['"x"', ",", '"a"', ":", "2"], ":", ",")
@example(['"x"', ",", '"b"', ":", "1", ",", '"a"', ":", '"y,"b":1,"'], ":", ",")
def test_what_is_plain_can_be_understood_in_one_way(pieces: list[str], colon: str, comma: str) -> None:
    """Whatever stands between members: a plain body has each name once, and its values are what JSON reads there."""
    body = ('{"a"' + colon + "1" + comma + '"b"' + colon + "".join(pieces) + "}").encode()
    found = plain(body)
    if found is not None:
        objects: list[list[tuple[str, object]]] = []
        json.loads(body, object_pairs_hook=lambda pairs: objects.append(pairs) or dict(pairs))  # type: ignore[func-returns-value]
        assert [(name, json.loads(bytes(value))) for name, value in found.items()] == objects[-1]


@given(st.dictionaries(names, values, min_size=1), st.sampled_from([(",", ":"), (", ", ": ")]), st.data())
def test_what_an_sdk_writes_is_plain(
    document: dict[str, object], between: tuple[str, str], data: st.DataObject
) -> None:
    """Unless a name has to be escaped; and its members are where they are found one by one."""
    text = json.dumps(document, separators=between, ensure_ascii=False)
    body = text.encode("utf-8", "surrogatepass")
    usual = 'a"b' not in document and text.isprintable()
    if usual:
        assert plain(body) is not None
    spaced = text.replace("{", "{ ", 1).encode("utf-8", "surrogatepass")
    assert plain(spaced) is None
    name = data.draw(st.sampled_from(sorted(document)))
    assert json.loads(replaced(body, name, "é")) == document | {name: "é"}
    assert [(one.name, one.value, one.start + 1) for one in members(body)] == [
        (one.name, one.value, one.start) for one in members(spaced)
    ]


def test_nothing_of_a_value_is_written_anew() -> None:
    big = "9" * 5000
    kept = f'"a" : [1.0, 1e400, {big}, -0.0],"b":"\\ud800\\u00e9é\\/","a":{{"model":1,"model":2}}'
    body = f' {{ "model":"m" ,{kept} , "stream" : true}} '.encode()
    assert edited(body, {"model", "stream"}, {"v": "é"}) == f'{{"v":"\\u00e9",{kept}}}'.encode()


@pytest.mark.parametrize("empty", [b"{}", b' {"model":"m"} ', b"{ }"])
def test_nothing_may_be_left(empty: bytes) -> None:
    assert edited(empty, {"model"}, {}) == b"{}"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1}x', b'{"a":1 "b":2}', b'{a:1}', b'{"a": \n"\xff"}',
        b"{}{}", b'"model":1', b'{"a":1}}', b'{"a":' + b"[" * 100_000, b'{"a":[}', b'{"a":[{]}', b'{"a":["b}',
        b'{"a":"', b'{"a":\'b\'}', b'{"a":tru}', b'{"a":01}', b'{"a":1/**/}', b'{"a', b'{"a":["' + b'\\"' * 1_000_000,
    ],
)  # fmt: skip
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        list(members(body))
