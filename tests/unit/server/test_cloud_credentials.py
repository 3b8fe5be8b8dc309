"""What clouds are shown: signatures that botocore finds right, tokens of fake issuers, renewed before their end."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import clouds
import pytest
from clouds import AWS_KEYS, NOWHERE, service_account, signed_by
from local_server import Asked, LocalServer, local_server
from vendor_credentials import sts

from keystead.errors import CloudNotReady, ConfigurationError, KeysteadError, ServerUnreachable
from keystead.secret import Secret
from keystead.server import cloud_credentials
from keystead.server.cloud_credentials import MAKERS
from keystead.server.cloud_credentials.renewed import NEW, Token, TokenCredential
from keystead.server.upstream_shape import CredentialUnavailable, Kind, Unsigned
from keystead.server.upstreams.methods import METHODS
from keystead.testing.clock import FakeClock

ASKED = Unsigned(b"POST", b"bedrock.example:8443", b"/model/a.b-v1%3A0/invoke?x=1", ((b"accept", b"*/*"),), b'{"a":1}')
KEYS = {
    "access_key_id": Secret(AWS_KEYS["AWS_ACCESS_KEY_ID"]),
    "secret_access_key": Secret(AWS_KEYS["AWS_SECRET_ACCESS_KEY"]),
}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave the SDKs no way off loopback, and nothing of this machine's own."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))


def as_asked(lines: bytes) -> Asked:
    """Return the request as it arrives with these lines."""
    headers = {"host": ASKED.host.decode()}
    for line in lines.decode().splitlines():
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return Asked("POST", ASKED.target.decode(), headers, ASKED.body.decode())


@pytest.mark.parametrize(("kind", "service"), [(Kind.BEDROCK, "bedrock"), (Kind.AWS, "aws-external-anthropic")])
@pytest.mark.parametrize("token", [None, "session-token"])
def test_a_signature_is_right(kind: Kind, service: str, token: str | None) -> None:
    more = {} if token is None else {"session_token": Secret(token)}
    credential = cloud_credentials.of(kind, "access_keys", KEYS | more, "eu-west-1")
    with pytest.raises(CredentialUnavailable):
        credential.lines(ASKED)
    refreshed(credential)
    asked = as_asked(credential.lines(ASKED))
    assert signed_by(asked) == (AWS_KEYS["AWS_ACCESS_KEY_ID"], "eu-west-1", service)
    assert asked.headers.get("x-amz-security-token") == token
    assert (credential.fixed, credential.version) == (None, 1)
    assert "made-up-secret" not in repr(credential)
    with pytest.raises(AssertionError):
        signed_by(Asked(asked.method, asked.path + "2", asked.headers, asked.body))


def refreshed(credential: Any) -> None:
    credential.refresh()


def test_the_chain_finds_what_the_server_has(monkeypatch: pytest.MonkeyPatch) -> None:
    credential = cloud_credentials.of(Kind.BEDROCK, "chain", {}, "eu-west-1")
    with pytest.raises(CloudNotReady, match="not found"):
        refreshed(credential)
    for name, value in AWS_KEYS.items():
        monkeypatch.setenv(name, value)
    credential = cloud_credentials.of(Kind.BEDROCK, "chain", {}, "eu-west-1")
    refreshed(credential)
    assert signed_by(as_asked(credential.lines(ASKED)))[0] == AWS_KEYS["AWS_ACCESS_KEY_ID"]


def test_a_profile_that_is_not_there_is_told() -> None:
    with pytest.raises(KeysteadError, match="nobody"):
        refreshed(cloud_credentials.of(Kind.BEDROCK, "chain", {"profile": Secret("nobody")}, "eu-west-1"))


def test_a_role_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    with sts(monkeypatch) as assumed:
        role = {"role_arn": Secret("arn:aws:iam::123456789012:role/models"), "external_id": Secret("ours")}
        credential = cloud_credentials.of(Kind.BEDROCK, "access_keys", KEYS | role, "eu-west-1")
        refreshed(credential)
        asked = as_asked(credential.lines(ASKED))
        assert signed_by(asked, secret=assumed().secret_access_key)[0] == assumed().access_key_id
        assert asked.headers["x-amz-security-token"] == assumed().session_token
        refreshed(credential)
        assert credential.version == 1


def test_a_role_without_a_way_to_sts_is_told() -> None:
    role = {"role_arn": Secret("arn:aws:iam::123456789012:role/models")}
    credential = cloud_credentials.of(Kind.BEDROCK, "access_keys", KEYS | role, "eu-west-1")
    with pytest.raises(ServerUnreachable, match="AWS"):
        refreshed(credential)


@pytest.fixture
def issuer() -> Iterator[LocalServer]:
    answers = {"POST /token": (200, "application/json", {"access_token": "ya29.made-up", "expires_in": 3600})}
    with local_server(answers) as server:
        yield server


def test_a_service_account_gets_a_token(issuer: LocalServer, tmp_path: Path) -> None:
    key = Path(service_account(tmp_path, issuer.url + "/token")).read_text()
    credential = cloud_credentials.of(Kind.VERTEX, "service_account", {"service_account_json": Secret(key)}, "global")
    with pytest.raises(CredentialUnavailable):
        credential.lines(ASKED)
    refreshed(credential)
    assert credential.lines(ASKED) == credential.fixed == b"authorization: Bearer ya29.made-up\r\n"
    refreshed(credential)
    assert (credential.version, len(issuer.asked)) == (1, 1)


def test_googles_chain_gets_a_token(issuer: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", service_account(tmp_path, issuer.url + "/token"))
    credential = cloud_credentials.of(Kind.VERTEX, "chain", {}, "global")
    refreshed(credential)
    assert credential.fixed == b"authorization: Bearer ya29.made-up\r\n"


def test_what_google_refuses_is_told(tmp_path: Path) -> None:
    with local_server({"*": (400, "application/json", {"error": "invalid_grant"})}) as issuer:
        key = Path(service_account(tmp_path, issuer.url + "/token")).read_text()
    dead = cloud_credentials.of(Kind.VERTEX, "service_account", {"service_account_json": Secret(key)}, "global")
    with pytest.raises(ServerUnreachable):
        refreshed(dead)
    with local_server({"*": (400, "application/json", {"error": "invalid_grant"})}) as issuer:
        key = json.dumps(json.loads(key) | {"token_uri": issuer.url + "/token"})
        refused = cloud_credentials.of(Kind.VERTEX, "service_account", {"service_account_json": Secret(key)}, "global")
        with pytest.raises(CloudNotReady, match="invalid_grant"):
            refreshed(refused)


def test_a_key_that_is_none_is_refused_without_its_content() -> None:
    key = Secret(json.dumps({"client_email": "a@b", "token_uri": "https://x", "private_key": "canary"}))
    with pytest.raises(ConfigurationError) as caught:
        cloud_credentials.of(Kind.VERTEX, "service_account", {"service_account_json": key}, "global")
    assert "canary" not in str(caught.value) + repr(caught.value.__cause__)


APPLICATION = {"tenant_id": Secret("tenant-1"), "client_id": Secret("c-1"), "client_secret": Secret("secret-canary")}
ENTRAS = {"access_token": "entra.made-up", "expires_in": 3600, "token_type": "Bearer"}


def test_an_application_gets_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with clouds.entra(tmp_path, 200, ENTRAS) as (server, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        credential = cloud_credentials.of(Kind.FOUNDRY, "entra", APPLICATION, "")
        refreshed(credential)
        assert parse_qs(server.asked[-1].body)["scope"] == ["https://cognitiveservices.azure.com/.default"]
    assert credential.lines(ASKED) == credential.fixed == b"authorization: Bearer entra.made-up\r\n"


def test_what_entra_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"error": "invalid_client", "error_description": "AADSTS7000222: The client secret keys are expired."}
    with clouds.entra(tmp_path, 401, refusal) as (_, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(CloudNotReady, match="AADSTS7000222") as caught:
            refreshed(cloud_credentials.of(Kind.FOUNDRY, "entra", APPLICATION, ""))
    assert "secret-canary" not in caught.value.message


def test_a_machine_that_entra_knows_gets_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = (200, "application/json", {**ENTRAS, "expires_in": "3600", "resource": "r"})
    with local_server({"GET /metadata/identity/oauth2/token": answer}) as server:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url)
        credential = cloud_credentials.of(Kind.FOUNDRY, "chain", {}, "")
        refreshed(credential)
    assert credential.fixed == b"authorization: Bearer entra.made-up\r\n"


@pytest.mark.parametrize("method", ["entra", "chain"])
def test_entra_is_asked_only_when_it_is_refreshed(method: str) -> None:
    credential = cloud_credentials.of(Kind.FOUNDRY, method, APPLICATION, "")
    with pytest.raises(CredentialUnavailable):
        credential.lines(ASKED)
    with pytest.raises(KeysteadError):
        refreshed(credential)


def test_a_token_is_renewed_ahead_of_its_end_and_kept_until_then() -> None:
    clock = FakeClock()
    start = clock.now()
    issued: list[Token | KeysteadError] = [Token(Secret("one"), start + 3600)]

    def ask() -> Token:
        found = issued.pop()
        if isinstance(found, KeysteadError):
            raise found
        return found

    credential = TokenCredential(ask, clock)
    credential.refresh()
    clock.advance(3299)
    credential.refresh()
    assert (credential.fixed, issued) == (b"authorization: Bearer one\r\n", [])
    clock.advance(2)
    issued.append(CloudNotReady("no"))
    with pytest.raises(CloudNotReady):
        credential.refresh()
    assert (credential.fixed, credential.version) == (b"authorization: Bearer one\r\n", 1)
    clock.advance(300)
    issued.append(CloudNotReady("no"))
    with pytest.raises(CloudNotReady):
        credential.refresh()
    assert (credential.fixed, credential.version) == (None, 2)
    issued.append(Token(Secret("two"), clock.now() + 3600))
    credential.refresh()
    assert (credential.fixed, credential.version) == (b"authorization: Bearer two\r\n", 3)


def test_a_token_that_was_refused_is_renewed_before_its_time_unless_it_is_new() -> None:
    clock = FakeClock()
    issued = [Token(Secret(name), clock.now() + 3600) for name in ("three", "two", "one")]
    credential = TokenCredential(issued.pop, clock)
    credential.refused()
    credential.refresh()
    assert credential.fixed == b"authorization: Bearer one\r\n"
    credential.refused()
    credential.refresh()
    assert credential.version == 1, "who refuses a new one would refuse the next one too"
    clock.advance(NEW)
    credential.refresh()
    credential.refresh()
    assert (credential.fixed, credential.version) == (b"authorization: Bearer two\r\n", 2)


def test_a_missing_sdk_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keystead.server.cloud_credentials.aws", raising=False)
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ConfigurationError, match="not installed") as caught:
        cloud_credentials.of(Kind.BEDROCK, "access_keys", KEYS, "eu-west-1")
    assert "keystead[server,bedrock]" in str(caught.value.hint)


def test_every_method_of_a_cloud_that_needs_more_than_a_key_has_a_maker() -> None:
    clouds = {Kind.AWS, Kind.BEDROCK, Kind.VERTEX, Kind.FOUNDRY}
    methods = {(kind, row.id) for kind in clouds for row in METHODS[kind] if row.id != "api_key"}
    assert methods == MAKERS.keys()


# -- what a machine's own identity is asked for, and when -------------------------------------------------------------


def machine_of_amazon() -> dict[str, Any]:
    """Return the answers of a machine's metadata service, which wants a session first (IMDSv2)."""
    place = "GET /latest/meta-data/iam/security-credentials/"
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    secret = AWS_KEYS["AWS_SECRET_ACCESS_KEY"]
    keys = {
        "Code": "Success",
        "AccessKeyId": "ASIAMACHINE",
        "SecretAccessKey": secret,
        "Token": "t",
        "Expiration": ends,
    }

    def with_session(answer: tuple[int, str, object]) -> Any:
        return lambda asked: answer if asked.headers.get("x-aws-ec2-metadata-token") == "session" else (401, "", "")

    return {
        "PUT /latest/api/token": (200, "text/plain", "session"),
        place: with_session((200, "text/plain", "models")),
        f"{place}models": with_session((200, "application/json", keys)),
    }


def test_a_machines_metadata_is_asked_for_its_own_identity_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with local_server(machine_of_amazon()) as machine:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.url)
        refreshed(cloud_credentials.of(Kind.BEDROCK, "access_keys", KEYS, "eu-west-1"))
        assert machine.asked == []
        chain = cloud_credentials.of(Kind.BEDROCK, "chain", {}, "eu-west-1")
        refreshed(chain)
        assert {asked.path for asked in machine.asked} >= {"/latest/api/token"}
    asked = as_asked(chain.lines(ASKED))
    assert signed_by(asked)[0] == "ASIAMACHINE"
    assert asked.headers["x-amz-security-token"] == "t"


def test_what_was_entered_asks_no_machine_of_google_or_microsoft(
    issuer: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth.compute_engine import _metadata

    key = Secret(Path(service_account(tmp_path, issuer.url + "/token")).read_text())
    with local_server({}) as machine, clouds.entra(tmp_path, 200, ENTRAS) as (_, variables):
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", machine.host)
        monkeypatch.setenv("GCE_METADATA_IP", machine.host)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url)
        refreshed(cloud_credentials.of(Kind.VERTEX, "service_account", {"service_account_json": key}, "global"))
        refreshed(cloud_credentials.of(Kind.FOUNDRY, "entra", APPLICATION, ""))
        assert machine.asked == []


def test_a_signature_is_of_its_time_and_keys_that_have_ended_sign_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with sts(monkeypatch) as assumed:
        role = {"role_arn": Secret("arn:aws:iam::123456789012:role/models")}
        credential: Any = cloud_credentials.of(Kind.BEDROCK, "access_keys", KEYS | role, "eu-west-1")
        refreshed(credential)
        asked, secret = as_asked(credential.lines(ASKED)), assumed().secret_access_key
    signed_by(asked, secret=secret)
    with pytest.raises(AssertionError, match="at another time"):
        signed_by(asked, secret=secret, now=datetime.now(UTC) + timedelta(minutes=6))
    with pytest.raises(AssertionError, match="another signature"):
        signed_by(replace(asked, headers=asked.headers | {"x-amz-security-token": "another"}), secret=secret)
    clock = FakeClock(credential._clock.now())
    credential._clock = clock
    clock.advance(3600)
    with pytest.raises(CredentialUnavailable, match="that have not ended"):
        credential.lines(ASKED)
    with pytest.raises(ServerUnreachable):
        refreshed(credential)
    assert credential.version == 2
