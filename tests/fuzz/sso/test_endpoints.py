"""Every address of single sign-on with whatever can be sent to it: a page, never a 500."""

import base64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from forged_saml import ForgedIdp, key_pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = key_pair()
NAMES = st.sampled_from(["state", "code", "iss", "error", "SAMLResponse", "RelayState", "next", "email", "required"])
VALUES = st.text(max_size=80) | st.sampled_from(
    ["//evil.example", "grace@example.com", "https://idp.example.com", "PGEvPg=="]
)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def connection(administrator: Any) -> str:
    from keystead.server.sso import connections, saml_settings
    from keystead.server.sso.models import Kind

    now = datetime.now(UTC)
    known = saml_settings.from_metadata(ForgedIdp(*KEYS).metadata().encode(), now)
    made = connections.create(administrator, Kind.SAML, "Company", known.to_json(), now)
    connections.switch(administrator, made, on=True, now=now)
    return made.wire_id


@pytest.mark.parametrize("path", ["/sso", "/sso/{}", "/saml/{}/acs", "/saml/{}/metadata", "/oauth/callback/{}"])
@given(pairs=PAIRS)
@FEW
def test_strangers_get_a_page(web: Any, connection: str, path: str, pairs: list[tuple[str, str]]) -> None:
    query = urlencode(pairs, errors="surrogatepass")
    address = path.format(connection)
    assert web.get(f"{address}?{query}").status_code < 500
    assert web.post(address, query, content_type=FORM).status_code < 500


@given(
    document=st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: f"<a>{text}</a>".encode("utf-8", "replace"))
)
@FEW
def test_no_document_breaks_the_reader(web: Any, connection: str, document: bytes) -> None:
    form = {"SAMLResponse": base64.b64encode(document).decode()}
    assert web.post(f"/saml/{connection}/acs", form).status_code == 403


@given(name=st.text(min_size=1, max_size=60))
@FEW
def test_what_names_no_connection_is_not_found(web: Any, name: str) -> None:
    safe = quote(name.replace("/", "_"), safe="", errors="replace")
    pages = [f"/sso/con_{safe}", f"/oauth/callback/con_{safe}", f"/saml/arrived/{safe}"]
    assert {web.get(page).status_code for page in pages} == {404}
