"""What can be a credential of which kind of upstream: the table, both ways."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keystead.errors import ConfigurationError, KeysteadError, PolicyDenied, UsageError
from keystead.server.settings import ServerSettings
from keystead.server.upstream_shape import Kind
from keystead.server.upstreams import methods, references
from keystead.server.upstreams.methods import HEADERS, METHODS, Field, checked

ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "client_email": "models@p.iam.gserviceaccount.com",
        "private_key": "-----BEGIN",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
)
KEYS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG"}
GOOD: dict[tuple[Kind, str], dict[str, str]] = {
    (Kind.ANTHROPIC, "api_key"): {"key": "sk-ant-api03-1"},
    (Kind.ANTHROPIC, "workload_identity"): {
        "federation_rule_id": "fdrl_1",
        "organization_id": "org_1",
        "identity_token": "file:/var/run/secrets/token",
    },
    (Kind.AWS, "access_keys"): KEYS,
    (Kind.BEDROCK, "access_keys"): KEYS | {"role_arn": "arn:aws:iam::123456789012:role/models", "external_id": "x"},
    (Kind.BEDROCK, "chain"): {"profile": "models"},
    (Kind.VERTEX, "service_account"): {"service_account_json": ACCOUNT},
    (Kind.VERTEX, "chain"): {},
    (Kind.FOUNDRY, "entra"): {"tenant_id": "t-1", "client_id": "c-1", "client_secret": "s"},
    (Kind.MESSAGES, "none"): {},
    (Kind.OPENAI, "bearer"): {"key": "env:MODELS_KEY"},
}


TYPED = KEYS | {
    "key": "a-key",
    "federation_rule_id": "fdrl_1",
    "organization_id": "org_1",
    "identity_token": "file:/var/run/secrets/token",
    "service_account_json": ACCOUNT,
    "tenant_id": "t-1",
    "client_id": "c-1",
    "client_secret": "s",
}
"""What an administrator could type into each field that some method needs."""


def fields_of_all(which: Callable[[Field], bool]) -> list[tuple[Kind, str, str]]:
    """Return kind, method and name of each of those fields."""
    rows = [(kind, row) for kind, found in METHODS.items() for row in found]
    return [(kind, row.id, field.name) for kind, row in rows for field in row.fields if which(field)]


def complete(kind: Kind, method: str) -> dict[str, str]:
    return {field.name: TYPED[field.name] for field in methods.method_of(kind, method).fields if field.required}


@pytest.mark.parametrize(("which", "fields"), GOOD.items(), ids=str)
def test_what_is_complete_is_kept_without_what_is_empty(which: tuple[Kind, str], fields: dict[str, str]) -> None:
    assert checked(*which, fields | {row.name: " " for row in methods.method_of(*which).fields} | fields) == fields


def test_every_key_has_a_header() -> None:
    keys = {(kind, row.id) for kind, rows in METHODS.items() for row in rows if [f.name for f in row.fields] == ["key"]}
    assert keys == HEADERS.keys()
    assert METHODS.keys() == set(Kind)


@pytest.mark.parametrize(
    ("kind", "method", "fields", "said"),
    [
        (Kind.BEDROCK, "access_keys", {"access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "secret_access_key is missing"),
        (Kind.BEDROCK, "access_keys", {"secret_access_key": "s"}, "access_key_id is missing"),
        (Kind.BEDROCK, "access_keys", KEYS | {"external_id": "x"}, "external_id means nothing without role_arn"),
        (Kind.BEDROCK, "access_keys", KEYS | {"role_arn": "role/x"}, "role_arn is not what a"),
        (Kind.AWS, "api_key", {}, "key is missing"),
        (Kind.AWS, "api_key", {"key": "k", "role_arn": "x"}, "role_arn does not belong to API key"),
        (Kind.ANTHROPIC, "access_keys", KEYS, "takes no credential of the kind access_keys"),
        (Kind.ANTHROPIC, "api_key", {"key": "sk ant"}, "key has a space at character 3"),
        (Kind.ANTHROPIC, "workload_identity", {"organization_id": "o"}, "federation_rule_id is missing"),
        (
            Kind.ANTHROPIC,
            "workload_identity",
            {"federation_rule_id": "r", "organization_id": "o", "identity_token": "eyJ"},
            "identity_token is not a reference",
        ),
        (Kind.VERTEX, "service_account", {"service_account_json": "{"}, "it is not JSON"),
        (Kind.VERTEX, "service_account", {"service_account_json": '{"type": "external_account"}'}, "its type is not"),
        (
            Kind.VERTEX,
            "service_account",
            {"service_account_json": ACCOUNT.replace("oauth2.googleapis.com", "evil.example")},
            "token_uri is not Google's",
        ),
        (
            Kind.VERTEX,
            "service_account",
            {"service_account_json": ACCOUNT.replace("googleapis.com/", "googleapis.com@evil.example/")},
            "token_uri is not Google's",
        ),
        (Kind.FOUNDRY, "entra", {"tenant_id": "t", "client_id": "c"}, "client_secret is missing"),
        (Kind.MESSAGES, "none", {"key": "k"}, "key does not belong to No credential"),
    ],
)
def test_what_is_partial_or_wrong_is_refused_by_the_name_of_its_field(
    kind: Kind, method: str, fields: dict[str, str], said: str
) -> None:
    with pytest.raises(KeysteadError, match=said) as raised:
        checked(kind, method, fields)
    secret = fields.get("secret_access_key", "\0")
    assert secret not in f"{raised.value} {raised.value.hint}" or len(secret) < 3


@pytest.mark.parametrize(("kind", "method", "field"), fields_of_all(lambda field: field.required), ids=str)
def test_each_field_that_is_needed_is_asked_for_by_its_name(kind: Kind, method: str, field: str) -> None:
    whole = complete(kind, method)
    assert checked(kind, method, whole) == whole
    for partial in ({name: value for name, value in whole.items() if name != field}, whole | {field: "  "}):
        with pytest.raises(UsageError, match=f"^{field} is missing: "):
            checked(kind, method, partial)


@pytest.mark.parametrize(("kind", "method", "field"), fields_of_all(lambda field: field.secret), ids=str)
def test_a_subscription_token_is_refused_in_every_place_with_rule_and_alternative(
    kind: Kind, method: str, field: str
) -> None:
    whole = complete(kind, method) | {field: "sk-ant-oat01-canary"}
    if field in ("service_account_json", "identity_token"):  # neither takes a bare token at all
        with pytest.raises(UsageError, match=field) as refused:
            checked(kind, method, whole)
        assert "canary" not in str(refused.value)
        return
    with pytest.raises(PolicyDenied, match="rule vendor-subscription") as raised:
        checked(kind, method, whole)
    assert "canary" not in str(raised.value)
    assert "API key from the vendor's console" in (raised.value.hint or "")


@pytest.mark.parametrize("word", ["env", "file", "exec"])
@pytest.mark.parametrize(
    "field", sorted({name for _, _, name in fields_of_all(lambda field: field.secret)} - {"service_account_json"})
)
def test_a_reference_that_leads_to_one_is_refused_whenever_it_is_read(word: str, field: str, tmp_path: Path) -> None:
    (tmp_path / "key").touch(mode=0o600)
    places = {"env": "env:MODELS_KEY", "file": f"file:{tmp_path}/key", "exec": f"exec:cat {tmp_path}/key"}
    for value, lawful in (("lawful", True), ("sk-ant-oat01-canary", False), ("lawful", True)):
        (tmp_path / "key").write_text(value)
        variables = {"MODELS_KEY": value, "PATH": os.environ["PATH"]}
        if lawful:
            assert references.read(places[word], field, variables).reveal() == value
            continue
        with pytest.raises(PolicyDenied, match="rule vendor-subscription") as raised:
            references.read(places[word], field, variables)
        assert "canary" not in f"{raised.value} {raised.value.hint}"


def server(text: str) -> ServerSettings:
    return ServerSettings(data_dir=Path("/"), upstream_references=text)


def allowed(text: str, reference: str, kind: Kind = Kind.ANTHROPIC, url: str = "https://api.anthropic.com") -> bool:
    try:
        references.require([reference], kind, url, "Example", server(text))
    except PolicyDenied:
        return False
    return True


EVERY = "env:KEY, file:/run/secrets/b for llm.example.com\nexec:vault read x for http://127.0.0.1:99 in Example"


def test_a_reference_is_the_operators_to_allow_and_goes_where_they_say() -> None:
    assert not allowed("", "env:KEY")
    assert allowed(EVERY, "env:KEY")
    assert not allowed(EVERY, "env:KEY", Kind.MESSAGES), "such a kind has no host of a vendor"
    assert not allowed(EVERY, "env:KEY", url="https://api.anthropic.com.evil.example")
    assert not allowed(EVERY, "env:KEY", url="http://api.anthropic.com")
    assert not allowed(EVERY, "env:OTHER")
    assert allowed(EVERY, "file:/run/secrets/b", Kind.MESSAGES, "https://llm.example.com/prefix")
    assert not allowed(EVERY, "file:/run/secrets/b", Kind.MESSAGES, "https://llm.example.com:8443")
    assert allowed(EVERY, "exec:vault read x", Kind.MESSAGES, "http://127.0.0.1:99")
    assert not allowed(EVERY.replace("Example", "Another"), "exec:vault read x", Kind.MESSAGES, "http://127.0.0.1:99")


def test_the_machines_own_identity_is_a_reference_too() -> None:
    used = references.used_by(Kind.BEDROCK, "chain", {"profile": "models"})
    assert used == ["chain:aws/models"]
    assert references.are_slow(used)
    home = "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert allowed("chain:aws/models", used[0], Kind.BEDROCK, home)
    assert not allowed("chain:aws", used[0], Kind.BEDROCK, home)
    assert not allowed("chain:aws/models", used[0], Kind.BEDROCK, "https://x.execute-api.us-east-1.amazonaws.com")


@pytest.mark.parametrize("text", ["API_KEY", "chain:moon", "file:/a, nothing"])
def test_a_setting_that_is_no_reference_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="KEYSTEAD_SERVER_UPSTREAM_REFERENCES has"):
        references.allowances(server(text))


def test_what_a_reference_leads_to_is_held_to_the_same_rules(tmp_path: Path) -> None:
    def kept(content: str) -> str:
        (tmp_path / "key").write_text(content)
        (tmp_path / "key").chmod(0o600)
        return f"file:{tmp_path}/key"

    assert references.read(kept("sk-1\n"), "key", {}).reveal() == "sk-1"
    assert json.loads(references.read(kept(ACCOUNT), "service_account_json", {}).reveal())["client_email"]
    with pytest.raises(PolicyDenied, match="vendor-subscription"):
        references.read(kept("sk-ant-oat01-x"), "key", {})
    with pytest.raises(UsageError, match="its type is not"):
        references.read(kept("{}"), "service_account_json", {})
    with pytest.raises(ConfigurationError, match="cannot come from exec"):
        references.read("exec:cat x", "service_account_json", {})
