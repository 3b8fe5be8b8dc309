"""A cloud's answer survives the way between processes and through the cache."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.credentials.cloud import CloudIdentity, parse
from keystead.wire.fields import Fields, Malformed

TEXT = st.text(min_size=1)
MAYBE = st.none() | TEXT
IDENTITIES = st.builds(
    CloudIdentity,
    cloud=TEXT,
    source=TEXT,
    account=MAYBE,
    principal=MAYBE,
    region=MAYBE,
    expires_at=st.none() | st.floats(0, 1e14),
    proven=st.booleans(),
    notes=st.lists(st.text()).map(tuple),
)


@given(IDENTITIES)
def test_what_was_written_is_read(identity: CloudIdentity) -> None:
    assert parse(Fields.parse(json.dumps(identity.to_json()).encode(), "answer")) == identity


@given(st.dictionaries(st.sampled_from(["cloud", "source", "expires_at", "notes", "proven"]), st.integers() | TEXT))
def test_anything_else_is_malformed_or_an_identity(document: dict[str, object]) -> None:
    """Never another exception."""
    with suppress(Malformed):
        assert parse(Fields(document, "answer")).cloud == document["cloud"]


def test_a_cloud_without_a_source_is_malformed() -> None:
    with pytest.raises(Malformed, match="no source"):
        parse(Fields({"cloud": "bedrock"}, "answer"))
