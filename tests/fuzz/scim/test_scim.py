"""SCIM with whatever can be sent to it: an answer or an error in SCIM's shape, never a 500."""

import json
from secrets import token_bytes
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = st.sampled_from(
    [
        *(
            "schemas",
            "userName",
            "externalId",
            "active",
            "emails",
            "name",
            "displayName",
            "members",
            "value",
            "primary",
        ),
        *("Operations", "op", "path", "method", "data", "bulkId", "id", "meta", "filter", "startIndex", "count"),
    ]
)
SCHEMAS = [
    "urn:ietf:params:scim:schemas:core:2.0:User",
    "urn:ietf:params:scim:schemas:core:2.0:Group",
    "urn:ietf:params:scim:api:messages:2.0:PatchOp",
    "urn:ietf:params:scim:api:messages:2.0:BulkRequest",
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(
        [*SCHEMAS, "\0", "a" * 2000, "ada@example.com", "replace", "add", "POST", "/Users", "emails[type eq"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda body: json.dumps(body).encode()) | st.binary(max_size=60)
NAMED = st.fixed_dictionaries(
    {
        "schemas": st.sampled_from(SCHEMAS).map(lambda one: [one]),
        "userName": st.text(max_size=8),
        "displayName": SCALARS,
    },
    optional={"emails": VALUES, "active": VALUES, "members": VALUES, "Operations": VALUES, "externalId": SCALARS},
).map(lambda body: json.dumps(body).encode())
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "X"])
PATHS = st.sampled_from(
    [
        "",
        "/",
        "/Users",
        "/Groups",
        "/Bulk",
        "/Me",
        "/.search",
        "/Users/x",
        "/Groups/grp_1",
        "/Users/.search",
        "/Schemas/x",
    ]
)
QUERIES = st.dictionaries(
    st.sampled_from(
        ["filter", "sortBy", "sortOrder", "startIndex", "count", "attributes", "excludedAttributes", "cursor"]
    ),
    st.text(max_size=20)
    | st.sampled_from(['userName eq "a"', "emails[", "-1", "99999999999999999999", "\0", "name.x"]),
    max_size=3,
)


@given(method=METHODS, path=PATHS, query=QUERIES, body=BODIES | NAMED, known=st.booleans())
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_fault_is_scims(
    administrator: Any, web: Any, method: str, path: str, query: dict[str, str], body: bytes, known: bool
) -> None:
    from urllib.parse import urlencode

    from keystead.server.console.access import now
    from keystead.server.scim import tokens
    from keystead.wire import ids

    for token in tokens.live(administrator.organization):
        tokens.end(token, administrator, now())
    secret = tokens.make(administrator, now(), token_bytes)[1].reveal()
    if known and path == "/Users/x":
        path = f"/Users/{ids.dump('membership', administrator.pk)}"
    address = f"/scim/v2/{ids.dump('organization', administrator.organization_id)}{path}"
    sent = {"authorization": f"Bearer {secret}"}
    answer = web.generic(
        method, f"{address}?{urlencode(query)}", body, content_type="application/scim+json", headers=sent
    )
    assert answer.status_code < 500 or answer.status_code == 501, answer.content
    if answer.status_code >= 400:
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


@given(organization=st.text(min_size=1, max_size=20).filter(lambda text: "/" not in text and text not in {".", ".."}))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_needs_no_token_is_told_at_any_address(web: Any, organization: str) -> None:
    """The address stands in a header of the answer, where no control character may."""
    path = quote(organization.encode("utf-8", "replace"), safe="")
    answer = web.get(f"/scim/v2/{path}/ServiceProviderConfig")
    assert answer.status_code == 200
    assert answer["Content-Location"].isascii()
    assert answer["Content-Location"].isprintable()
