"""Every grant and every way to authenticate, reached with what makes it go on: an error of the protocol, no 500."""

import base64
import json
from secrets import token_bytes
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from issuers import TokenIssuer

from keystead.errors import UsageError
from keystead.server import assertions
from keystead.server.policy import federation

FORM = "application/x-www-form-urlencoded"
GRANTS = "urn:ietf:params:oauth:grant-type:"
TYPES = "urn:ietf:params:oauth:token-type:"
PLATFORM = TokenIssuer("https://builds.example.com")
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(max_size=60)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | TEXT, st.lists, max_leaves=4)
CLAIMS = st.dictionaries(
    st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "may_act", "repository", "a/b"]), JSON, max_size=6
)


@pytest.fixture
def proof(administrator: Any) -> dict[str, str]:
    """A client that may do everything, with a rule that accepts its platform."""
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod, Client
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import federation as registered
    from keystead.server.keys import service_accounts
    from keystead.server.keys.models import KeySource

    account = service_accounts.create(administrator, "deploy", now=now())
    wanted = registered.Issuer("b", PLATFORM.url, "http://127.0.0.1:8420", KeySource.INLINE, jwks=PLATFORM.jwks)
    issuer = registered.create_issuer(administrator, wanted, now())
    rule = registered.Rule("r", issuer, account, federation.parse_conditions("repository = acme/app"), "models:use")
    registered.create_rule(administrator, rule, now())
    asked = registry.Registration(
        "Fuzz",
        AuthMethod.CLIENT_SECRET_POST,
        ["client_credentials"],
        scope="openid models:use",
        service_account=account,
    )
    client, secret = registry.register(administrator, asked, now(), token_bytes)
    grants = ["client_credentials", f"{GRANTS}jwt-bearer", f"{GRANTS}token-exchange"]
    Client.objects.filter(pk=client.pk).update(grant_types=grants, first_party=True)
    assert secret is not None
    return {"client_id": client.client_id, "client_secret": secret.reveal()}


def is_answered(response: Any) -> bool:
    """Whether it is a token, or an error of the protocol."""
    body = response.json()
    return ("access_token" in body) if response.status_code == 200 else bool(body["error"])


@given(
    claims=CLAIMS,
    grant=st.sampled_from(["jwt-bearer", "token-exchange"]),
    more=st.dictionaries(
        st.sampled_from(
            [
                *("federation_rule_id", "organization_id", "service_account_id", "workspace_id", "scope", "resource"),
                *("audience", "actor_token", "actor_token_type", "requested_token_type", "expires_in"),
            ]
        ),
        TEXT,
        max_size=4,
    ),
)
@FEW
def test_whatever_a_platform_signs(
    web: Any, proof: dict[str, str], claims: dict[str, Any], grant: str, more: dict[str, str]
) -> None:
    from keystead.server.authorization.surroundings import now

    token = PLATFORM.token(now=now().timestamp(), **claims)
    named = (
        {"assertion": token} if grant == "jwt-bearer" else {"subject_token": token, "subject_token_type": f"{TYPES}jwt"}
    )
    body = {"grant_type": GRANTS + grant, **named, **proof, **more}
    response = web.post("/v1/oauth/token", json.dumps(body), content_type="application/json")
    assert response.status_code in {200, 400, 401}
    assert is_answered(response)


@given(
    header=st.binary(max_size=80),
    scheme=st.sampled_from(["Basic", "basic", "Bearer", "", "Basic  "]),
    raw=st.booleans(),
)
@FEW
def test_whatever_stands_in_the_header(web: Any, header: bytes, scheme: str, raw: bool) -> None:
    shown = header.decode("latin-1") if raw else base64.b64encode(header).decode()
    response = web.post(
        "/oauth/introspect", urlencode({"token": "x"}), content_type=FORM, HTTP_AUTHORIZATION=f"{scheme} {shown}"
    )
    assert response.status_code in {400, 401}
    assert is_answered(response)


@pytest.mark.parametrize("name", ["client_secret", "client_assertion", "assertion", "subject_token", "token"])
@pytest.mark.parametrize("value", ["a" * 9000, "a\x00b", "a\r\nb"])
def test_oversized_doubled_and_smuggled_parameters(web: Any, proof: dict[str, str], name: str, value: str) -> None:
    for pairs in ([(name, value)], [(name, "a"), (name, "b")], [*proof.items(), (name, "a"), (name, "a")]):
        for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
            response = web.post(path, urlencode([("grant_type", "client_credentials"), *pairs]), content_type=FORM)
            assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@given(
    token=st.text(max_size=200)
    | st.binary(max_size=99).map(lambda raw: base64.urlsafe_b64encode(raw).decode() + ".e30.")
)
def test_reading_a_statement_never_fails(token: str) -> None:
    assertions.read(token)
    with pytest.raises(assertions.NotVerified):
        assertions.verify(token, PLATFORM.jwks, 1000.0)


@given(keys=JSON | st.dictionaries(st.just("keys"), st.lists(st.dictionaries(TEXT, JSON, max_size=4), max_size=3)))
def test_an_odd_key_set_verifies_nothing_and_breaks_nothing(keys: Any) -> None:
    token = PLATFORM.token(now=1000.0)
    with pytest.raises(assertions.NotVerified):
        assertions.verify(token, keys if isinstance(keys, dict) else {"keys": keys}, 1000.0)


@given(text=TEXT | st.lists(TEXT, max_size=4).map(" = ".join))
def test_conditions_are_read_or_refused(text: str) -> None:
    try:
        conditions = federation.parse_conditions(text)
    except UsageError:
        return
    assert conditions
    assert all(federation.head(one) for one in conditions)
