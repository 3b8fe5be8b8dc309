"""``keystead server upstream-add``, ``-change`` and ``-remove``: the console's rules, and no secret in argv."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from keystead.errors import KeysteadError, PolicyDenied, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from keystead.server.organizations.models import Membership
    from keystead.server.upstreams.models import Upstream

    Run = Callable[..., Any]

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
CANARY = "sk-ant-api03-canary"
SUBSCRIPTION = "sk-ant-oat01-canary"


@pytest.fixture
def run(administrator: "Membership", monkeypatch: pytest.MonkeyPatch) -> "Run":
    """Return a function that runs a command over the test's database, and gives what it printed or raised."""
    from keystead.server import installation
    from keystead.server.command import server

    monkeypatch.setattr(installation, "open_database", lambda *_: None)

    def ran(*arguments: str, stdin: str = "") -> Any:
        result = CliRunner().invoke(server, arguments, input=stdin)
        assert CANARY not in f"{result.output}{result.exception}"
        assert SUBSCRIPTION not in f"{result.output}{result.exception}"
        if isinstance(result.exception, KeysteadError):
            return result.exception
        assert result.exit_code == 0, result.output or result.exception
        return json.loads(result.output) if "--json" in arguments else result.output

    return ran


def only() -> "Upstream":
    from keystead.server.upstreams.models import Upstream

    return Upstream.objects.select_related("organization").get()


def events() -> list[tuple[str, str]]:
    from keystead.server.audit.models import AuditEvent

    found = AuditEvent.objects.filter(action__startswith="upstream:").order_by("at", "id")
    return list(found.values_list("action", "actor"))


def test_an_upstream_is_connected_with_a_secret_from_standard_input(run: "Run") -> None:
    from keystead.server.audit import operations as audit
    from keystead.server.upstreams import operations

    said = run("upstream-add", "anthropic", "--name", "Claude", "--credential", "api_key", stdin=f"{CANARY}\n")
    assert said == "Claude  anthropic  https://api.anthropic.com  not tested yet\n"
    assert operations.fields_of(only()) == {"key": CANARY}
    assert CANARY not in only().sealed_credential
    assert events() == [("upstream:create", audit.SYSTEM), ("upstream:set_credential", audit.SYSTEM)]
    assert run("upstream-remove", "Claude") == "Removed: Claude\n"
    assert events()[-1] == ("upstream:remove", audit.SYSTEM)
    assert "There is no upstream Claude." in run("upstream-remove", "Claude").message


def test_everything_that_the_console_knows_can_be_said_and_taken_away(run: "Run") -> None:
    told = run(
        *("upstream-add", "bedrock", "--name", "B", "--region", "eu-west-1", "--profile", "eu"),
        *("--model", "ours = theirs.v1", "--model", "b=c", "--serves", "sonnet", "--header", "x-team: ada"),
        *("--first-byte-seconds", "30", "--off", "--json"),
    )
    assert (told["schema"], told["organization"]) == ("keystead.upstream/1", "Example")
    kept = told["upstream"]
    assert (kept["name"], kept["kind"], kept["state"], kept["credential"]) == ("B", "bedrock", "off", None)
    assert (kept["region"], kept["profile"], kept["first_byte_seconds"]) == ("eu-west-1", "eu", 30)
    assert kept["models"] == {"ours": "theirs.v1", "b": "c"}
    assert (kept["serves"], kept["headers"]) == (["sonnet"], {"x-team": "ada"})
    changed = run(
        *("upstream-change", "B", "--name", "C", "--region", "us-east-1", "--clear", "model", "--clear", "profile"),
        *("--clear", "first-byte-seconds", "--serves", "opus", "--on", "--json"),
    )["upstream"]
    assert changed["base_url"] == "https://bedrock-runtime.us-east-1.amazonaws.com", "it was at the usual address"
    assert (changed["name"], changed["models"], changed["serves"]) == ("C", {}, ["opus"])
    assert (changed["headers"], changed["first_byte_seconds"], changed["profile"]) == ({"x-team": "ada"}, None, None)
    assert (changed["state"], changed["id"]) == ("no credential", kept["id"])
    assert run("upstream-remove", "C", "--json")["removed"]["id"] == kept["id"]


def test_the_order_is_said_by_numbers(run: "Run", administrator: "Membership") -> None:
    from keystead.server.upstreams import operations

    def names() -> list[str]:
        return [one.name for one in operations.all_of(administrator)]

    for name in "ABC":
        run("upstream-add", "anthropic", "--name", name)
    run("upstream-add", "anthropic", "--name", "First", "--position", "1")
    assert names() == ["First", "A", "B", "C"]
    run("upstream-change", "First", "--position", "3")
    assert names() == ["A", "B", "First", "C"]
    assert "position is not from 1 to 4" in run("upstream-change", "A", "--position", "5").message


def test_a_reference_is_one_that_the_operator_allows(run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    from keystead.server.upstreams import operations

    add = ("upstream-add", "anthropic", "--name", "R", "--credential", "api_key", "--with", "key=env:MODELS_KEY")
    refused = run(*add)
    assert isinstance(refused, PolicyDenied)
    assert "env:MODELS_KEY is not allowed for api.anthropic.com" in refused.message
    assert events() == [], "nothing of it was kept"
    monkeypatch.setenv("KEYSTEAD_SERVER_UPSTREAM_REFERENCES", "env:MODELS_KEY")
    run(*add)
    assert operations.fields_of(only()) == {"key": "env:MODELS_KEY"}


def test_a_credential_is_replaced_and_goes_to_no_other_host_by_itself(run: "Run") -> None:
    from keystead.server.upstreams import operations

    run("upstream-add", "messages", "--name", "L", "--base-url", "https://llm.example.com", "--credential", "none")
    run("upstream-change", "L", "--credential", "bearer", stdin=CANARY)
    assert (only().method, operations.fields_of(only())) == ("bearer", {"key": CANARY})
    assert run("upstream-change", "L", "--base-url", "https://llm.example.com/v2", "--json")["upstream"]["credential"]
    moved = run("upstream-change", "L", "--base-url", "https://other.example.com", "--json")["upstream"]
    assert (moved["state"], moved["credential"]) == ("no credential", None)
    again = ("upstream-change", "L", "--base-url", "https://third.example.com", "--credential", "api_key")
    assert run(*again, "--json", stdin=CANARY)["upstream"]["credential"] == "api_key"


@pytest.mark.parametrize("entered", ["--credential", "api_key"])
def test_a_subscription_token_is_refused_with_rule_source_date_and_alternative(run: "Run", entered: str) -> None:
    add = ["upstream-add", "anthropic", "--name", "S"]
    if entered == "--credential":
        refused = run(*add, "--credential", "api_key", stdin=SUBSCRIPTION)
    else:
        run(*add)
        refused = run("upstream-change", "S", "--header", f"x-other: {SUBSCRIPTION}")
    assert isinstance(refused, PolicyDenied)
    told = f"{refused.message} {refused.hint}"
    assert "vendor-subscription" in told
    assert "https://" in told
    assert "2026-" in told
    assert "API key from the vendor's console, or use a cloud" in told


AWS = ("upstream-add", "bedrock", "--name", "X", "--region", "eu-west-1", "--credential", "access_keys")


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("upstream-add", "bedrock", "--name", "X"), "", "region is missing"),
        (("upstream-add", "messages", "--name", "X"), "", "base_url is missing"),
        (("upstream-add", "anthropic", "--name", "X", "--model", "a b"), "", "“a b” is not --model OURS=THEIRS."),
        (
            ("upstream-add", "anthropic", "--name", "X", "--header", "host: x"),
            "",
            "headers: host is set by the gateway",
        ),
        (("upstream-add", "anthropic", "--name", "X", "--first-byte-seconds", "0"), "", "first_byte_seconds is not"),
        (("upstream-add", "anthropic", "--name", "X", "--credential", "api_key"), "", "key: standard input is empty."),
        (("upstream-add", "anthropic", "--name", "X", "--credential", "api_key"), "k" * 20_000, "16384 characters"),
        (("upstream-add", "anthropic", "--name", "X", "--credential", "chain"), "", "takes no credential of the kind"),
        (("upstream-add", "anthropic", "--name", "X", "--with", "key=env:A"), "", "--with is about a credential."),
        (AWS, "secret", "access_key_id is missing"),
        (
            (*AWS, "--with", "access_key_id=AKIAIOSFODNN7EXAMPLE", "--with", "colour=blue"),
            "s",
            "colour does not belong",
        ),
        ((*AWS, "--with", f"secret_access_key={CANARY}"), "", "secret_access_key is a secret, and others"),
        (("upstream-change", "nothing"), "", "There is no upstream nothing."),
    ],
)
def test_what_will_not_do_is_named_and_nothing_is_kept(
    run: "Run", arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    refused = run(*arguments, stdin=stdin)
    assert isinstance(refused, UsageError)
    assert said in refused.message
    assert refused.hint
    assert events() == []


def test_nothing_to_change_is_said(run: "Run") -> None:
    run("upstream-add", "anthropic", "--name", "A", "--credential", "api_key", stdin=CANARY)
    assert run("upstream-change", "A").message == "Nothing is to be changed."
    assert run("upstream-change", "A", "--name", "A").message == "Nothing is to be changed."
    assert "already an upstream called A" in run("upstream-add", "anthropic", "--name", "A").message
