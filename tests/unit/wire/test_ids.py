"""Identifiers: the pair dump and parse, and strictness about everything else."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import ids

KIND = st.sampled_from(sorted(ids.PREFIXES))


@given(KIND, st.uuids())
def test_what_is_dumped_parses_back(kind: str, value: UUID) -> None:
    assert ids.parse(kind, ids.dump(kind, value)) == value


@given(st.uuids())
def test_an_identifier_of_another_kind_is_refused(value: UUID) -> None:
    with pytest.raises(ValueError, match="not the identifier of a api_key"):
        ids.parse("api_key", ids.dump("organization", value))


@given(KIND, st.text())
def test_any_other_text_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"not the identifier of a {kind}"):
        ids.parse(kind, f"{ids.PREFIXES[kind]}_{text}z")


def test_prefixes_are_unique() -> None:
    assert len(set(ids.PREFIXES.values())) == len(ids.PREFIXES)
