"""Claude Code's rules, one observed sentence at a time."""

import json
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

from keystead.errors import UsageError
from keystead.sources.clients import CLIENTS, choose
from keystead.sources.clients.sight import Sight
from keystead.sources.clients.wire import Wire
from keystead.sources.configuration import Configuration, Scope, SettingsFile
from keystead.testing.machine import Machine
from keystead.wire import settings as wire_settings

RELEASES = ["2.1.77", "2.1.197", "2.1.330"]
OLD = RELEASES[:2]
NEW = RELEASES[2]
AT, AK, OT = "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"
HK = {"apiKeyHelper": "echo key"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def seen(
    machine: Machine,
    release: str = NEW,
    *,
    interactive: bool = False,
    bare: bool = False,
    given: object | None = None,
    **variables: str,
) -> Wire:
    flag = None if given is None else wire_settings.parse(json.dumps(given).encode())
    file = None if flag is None else SettingsFile(Scope.USER, "--settings", flag)
    sight = Sight(Configuration.read(machine.environment(**variables)), interactive, bare, file)
    return choose(f"claude-code@{release}").rules(sight)


def headers(wire: Wire) -> tuple[str | None, str | None]:
    return wire.authorization, wire.x_api_key


@pytest.mark.requirement("R-34 clients")
@pytest.mark.parametrize("release", RELEASES)
def test_the_two_headers_are_filled_independently(tmp_path: Path, release: str) -> None:
    """Every combination of token, key, helper, subscription token and login, against the sentence."""
    things = ("auth_token", "api_key", "api_key_helper", "oauth_token", "login")
    for number, chosen in enumerate(chain.from_iterable(combinations(things, count) for count in range(6))):
        machine = Machine(tmp_path / str(number))
        variables = {"auth_token": AT, "api_key": AK, "oauth_token": OT}
        if "api_key_helper" in chosen:
            machine.settings(HK)
        if "login" in chosen:
            machine.vendor_login("canary")
        present: Any = {variables[one]: one for one in chosen if one in variables}
        wire = seen(machine, release, **present)

        external = [one for one in things[:3] if one in chosen]
        bearer = ["auth_token", "api_key_helper", *([] if external else ["oauth_token", "login"])]
        assert wire.authorization == next((one for one in bearer if one in chosen), None)
        assert wire.x_api_key == next((one for one in ("api_key", "api_key_helper") if one in chosen), None)
        assert (wire.reason is None) == bool(chosen)


def test_nothing_is_not_logged_in(machine: Machine) -> None:
    wire = seen(machine)

    assert headers(wire) == (None, None)
    assert wire.certain
    assert "not logged in" in (wire.reason or "")


def test_a_token_and_a_helper_race(machine: Machine) -> None:
    """The helper runs all the same and its value may go out: that is not certain."""
    machine.settings(HK)
    wire = seen(machine, ANTHROPIC_AUTH_TOKEN="t")

    assert headers(wire) == ("auth_token", "api_key_helper")
    assert not wire.certain


def test_a_helper_alone_fills_both_and_is_told_that_it_may_fail(machine: Machine) -> None:
    machine.settings(HK)
    wire = seen(machine)

    assert headers(wire) == ("api_key_helper", "api_key_helper")
    assert wire.certain
    assert "empty" in wire.notes[0]


@pytest.mark.parametrize("release", RELEASES)
def test_empty_is_unset(machine: Machine, release: str) -> None:
    assert headers(
        seen(machine, release, ANTHROPIC_AUTH_TOKEN="", ANTHROPIC_API_KEY="", CLAUDE_CODE_OAUTH_TOKEN="")
    ) == (None, None)


@pytest.mark.parametrize("release", OLD)
def test_blank_was_an_empty_credential(machine: Machine, release: str) -> None:
    wire = seen(machine, release, ANTHROPIC_AUTH_TOKEN="  ", ANTHROPIC_API_KEY=" \n")

    assert headers(wire) == ("auth_token", "api_key")
    assert wire.empty == {"authorization", "x-api-key"}


def test_blank_is_unset_in_the_newest(machine: Machine) -> None:
    assert headers(seen(machine, ANTHROPIC_AUTH_TOKEN="  ", ANTHROPIC_API_KEY="k")) == (None, "api_key")


@pytest.mark.parametrize("value", ["1", "true", "YES", " on\t", "True\n"])
@pytest.mark.parametrize("release", RELEASES)
def test_a_switch_is_on(machine: Machine, release: str, value: str) -> None:
    assert headers(seen(machine, release, CLAUDE_CODE_USE_VERTEX=value)) == ("cloud:vertex", None)


@pytest.mark.parametrize("value", ["0", "false", "no", "off", "2", "enabled", " "])
def test_anything_else_is_off(machine: Machine, value: str) -> None:
    assert headers(seen(machine, CLAUDE_CODE_USE_BEDROCK=value, ANTHROPIC_API_KEY="k")) == (None, "api_key")


def test_clouds_have_an_order(machine: Machine) -> None:
    """Bedrock > Foundry > Claude on AWS > Mantle > Vertex."""
    order = {
        "cloud:bedrock": "CLAUDE_CODE_USE_BEDROCK",
        "cloud:foundry": "CLAUDE_CODE_USE_FOUNDRY",
        "cloud:aws": "CLAUDE_CODE_USE_ANTHROPIC_AWS",
        "cloud:mantle": "CLAUDE_CODE_USE_MANTLE",
        "cloud:vertex": "CLAUDE_CODE_USE_VERTEX",
    }
    for first, second in combinations(order, 2):
        switches: Any = {order[first]: "1", order[second]: "1"}
        assert seen(machine, **switches).authorization == first


def test_the_newest_sends_a_cloud_its_own_only(machine: Machine) -> None:
    machine.settings(HK)
    wire = seen(machine, CLAUDE_CODE_USE_BEDROCK="1", AWS_PROFILE="p", ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="k")

    assert headers(wire) == ("cloud:bedrock", None)
    assert wire.certain


@pytest.mark.parametrize("release", OLD)
@pytest.mark.parametrize(
    ("switch", "credentials", "expected"),
    [
        ("BEDROCK", {"AWS_PROFILE": "p"}, ("auth_token", "api_key")),
        ("BEDROCK", {"AWS_BEARER_TOKEN_BEDROCK": "b"}, ("cloud:bedrock", "api_key")),
        ("VERTEX", {"GOOGLE_APPLICATION_CREDENTIALS": "f"}, ("cloud:vertex", "api_key")),
        ("FOUNDRY", {"ANTHROPIC_FOUNDRY_API_KEY": "k"}, (None, "cloud:foundry")),
        ("FOUNDRY", {"AZURE_CLIENT_ID": "c"}, ("cloud:foundry", None)),
    ],
)
def test_old_releases_leak_to_a_cloud(
    machine: Machine, release: str, switch: str, credentials: dict[str, Any], expected: object
) -> None:
    """The key goes along; the token takes the place of a signature, and of nothing else."""
    variables: dict[str, Any] = {f"CLAUDE_CODE_USE_{switch}": "1", **credentials}
    wire = seen(machine, release, ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="k", **variables)

    assert headers(wire) == expected
    assert {one for one in expected if one} <= wire.places.keys()
    assert seen(machine, release, **variables).certain
    blank = seen(machine, release, ANTHROPIC_AUTH_TOKEN=" ", ANTHROPIC_API_KEY=" ", **variables)
    assert headers(blank) == headers(seen(machine, release, **variables))


@pytest.mark.parametrize("release", OLD)
def test_what_old_releases_leak_is_not_certain_everywhere(machine: Machine, release: str) -> None:
    """Bedrock and Vertex were seen with their own SDKs too; the others, and a helper, in outline only."""
    keys: dict[str, Any] = {AT: "t", AK: "k", "AWS_PROFILE": "p"}

    assert seen(machine, release, CLAUDE_CODE_USE_BEDROCK="1", **keys).certain
    assert not seen(machine, release, CLAUDE_CODE_USE_MANTLE="1", **keys).certain
    assert not seen(machine, release, CLAUDE_CODE_USE_FOUNDRY="1", ANTHROPIC_FOUNDRY_API_KEY="k", **keys).certain
    machine.settings(HK)
    assert not seen(machine, release, CLAUDE_CODE_USE_BEDROCK="1", **keys).certain


def test_a_credential_left_to_a_proxy_is_not_sent(machine: Machine) -> None:
    skipped: dict[str, Any] = {"CLAUDE_CODE_USE_BEDROCK": "1", "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1"}

    assert headers(seen(machine, **skipped)) == (None, None)
    assert "without one" in (seen(machine, **skipped).reason or "")
    assert headers(seen(machine, OLD[0], ANTHROPIC_AUTH_TOKEN="t", **skipped)) == ("auth_token", None)


def test_a_cloud_with_a_key_of_its_own_takes_it_as_a_key(machine: Machine) -> None:
    wire = seen(machine, CLAUDE_CODE_USE_FOUNDRY="1", ANTHROPIC_FOUNDRY_API_KEY="k")

    assert headers(wire) == (None, "cloud:foundry")


def test_a_custom_key_overrides_any_and_a_custom_bearer_only_the_login(machine: Machine) -> None:
    both = "X-API-Key: a\nAuthorization: Bearer b"
    machine.vendor_login()

    assert headers(seen(machine, ANTHROPIC_CUSTOM_HEADERS=both)) == ("custom_headers", "custom_headers")
    assert headers(seen(machine, ANTHROPIC_CUSTOM_HEADERS=both, ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="k")) == (
        "auth_token",
        "custom_headers",
    )
    machine.settings(HK)
    assert headers(seen(machine, ANTHROPIC_CUSTOM_HEADERS=both)) == ("api_key_helper", "custom_headers")


def test_other_custom_headers_are_no_credential(machine: Machine) -> None:
    assert headers(seen(machine, ANTHROPIC_CUSTOM_HEADERS="X-Team: blue\nno colon")) == (None, None)


def test_a_console_key_comes_last_and_only_its_presence_is_looked_at(machine: Machine) -> None:
    (machine.bare.home / ".claude.json").write_text(json.dumps({"primaryApiKey": "canary"}))

    alone, beside = seen(machine), seen(machine, ANTHROPIC_API_KEY="k")

    assert headers(alone) == (None, "console_key")
    assert headers(beside) == (None, "api_key")
    assert "canary" not in repr(alone)


def test_the_login_is_never_opened(machine: Machine) -> None:
    """A file that cannot be read is as good as any (the legal wall)."""
    machine.vendor_login("canary").chmod(0)

    assert headers(seen(machine)) == ("login", None)


def test_bare_reads_a_key_or_a_helper_given_by_flag(machine: Machine) -> None:
    machine.settings(HK)
    machine.vendor_login()

    assert headers(seen(machine, bare=True, ANTHROPIC_AUTH_TOKEN="t", CLAUDE_CODE_OAUTH_TOKEN="o")) == (None, None)
    assert headers(seen(machine, bare=True, ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="k")) == (None, "api_key")
    assert headers(seen(machine, bare=True, given=HK)) == ("api_key_helper", "api_key_helper")


def test_a_person_is_asked_about_a_key_once(machine: Machine) -> None:
    """Their answer is remembered by the last 20 characters; before it, the default is No."""
    key = "prefix-of-a-key-" + "0123456789abcdefghij"
    notes = machine.bare.home / ".claude.json"
    machine.vendor_login()

    asked = seen(machine, interactive=True, ANTHROPIC_API_KEY=key)
    notes.write_text(json.dumps({"customApiKeyResponses": {"approved": [key[-20:]], "rejected": []}}))
    approved = seen(machine, interactive=True, ANTHROPIC_API_KEY=key)
    notes.write_text(json.dumps({"customApiKeyResponses": {"approved": [], "rejected": [key[-20:]]}}))
    declined = seen(machine, interactive=True, ANTHROPIC_API_KEY=key)

    assert (headers(asked), asked.certain) == (("login", None), False)
    assert (headers(approved), approved.certain) == ((None, "api_key"), True)
    assert (headers(declined), declined.certain) == (("login", None), True)
    assert headers(seen(machine, ANTHROPIC_API_KEY=key)) == (None, "api_key")


@pytest.mark.parametrize("pin", [{"forceLoginMethod": "console"}, {"forceLoginOrgUUID": "org"}])
@pytest.mark.parametrize("refused", [AT, AK, "helper"])
def test_a_forced_login_refuses_programmatic_credentials(machine: Machine, pin: object, refused: str) -> None:
    machine.settings(pin, scope="managed")
    machine.vendor_login()
    if refused == "helper":
        machine.settings(HK)
    variables: Any = {} if refused == "helper" else {refused: "x"}
    wire = seen(machine, **variables)

    assert headers(wire) == (None, None)
    assert "exit 1" in (wire.reason or "")
    assert wire.certain


def test_a_console_key_and_a_custom_header_slip_past_an_organization_pin(machine: Machine) -> None:
    machine.settings({"forceLoginOrgUUID": ["org"]}, scope="managed")
    (machine.bare.home / ".claude.json").write_text(json.dumps({"primaryApiKey": "k"}))

    assert headers(seen(machine)) == (None, "console_key")
    custom = seen(machine, ANTHROPIC_CUSTOM_HEADERS="Authorization: Bearer b")
    assert headers(custom) == ("custom_headers", "console_key")


def test_a_forced_login_has_the_stored_one_checked(machine: Machine) -> None:
    """Whether it matches cannot be known without opening it."""
    machine.settings({"forceLoginMethod": "claudeai"}, scope="managed")
    machine.vendor_login()

    assert (headers(seen(machine)), seen(machine).certain) == (("login", None), False)


def test_a_gateway_session_goes_alone(machine: Machine) -> None:
    machine.settings({"forceLoginMethod": "gateway"}, scope="managed")
    machine.vendor_login()

    assert headers(seen(machine, CLAUDE_CODE_USE_BEDROCK="1", ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="k")) == (
        "gateway_session",
        None,
    )


def test_a_users_own_settings_force_nothing(machine: Machine) -> None:
    machine.settings({"forceLoginMethod": "console"})

    assert headers(seen(machine, ANTHROPIC_API_KEY="k")) == (None, "api_key")


def test_settings_have_their_order_and_beat_the_shell(machine: Machine) -> None:
    """Managed > flag > local > project > user; an empty value masks."""
    assert seen(machine, ANTHROPIC_AUTH_TOKEN="shell").places["auth_token"] == f"{AT} in the environment"
    for scope, place in (("user", "settings.json"), ("project", "settings.json"), ("local", "settings.local.json")):
        machine.settings({"env": {AT: scope}}, scope=scope)
        assert place in seen(machine, ANTHROPIC_AUTH_TOKEN="shell").places["auth_token"]
    assert seen(machine, given={"env": {AT: "flag"}}).places["auth_token"].startswith("--settings")
    machine.settings({"env": {AT: ""}}, scope="managed")
    assert headers(seen(machine, given={"env": {AT: "flag"}}, ANTHROPIC_AUTH_TOKEN="shell")) == (None, None)


def test_a_projects_file_decides_without_a_trust_check_in_p(machine: Machine) -> None:
    """This is R-07 in another client; with a person there is a question first."""
    machine.settings(HK, scope="project")

    assert (headers(seen(machine)), seen(machine).certain) == (("api_key_helper", "api_key_helper"), True)
    assert not seen(machine, interactive=True).certain


def test_the_address_is_told_when_it_is_odd(machine: Machine) -> None:
    """A final /v1 is doubled, and a project's file may send the key anywhere."""
    machine.settings({"env": {"ANTHROPIC_BASE_URL": "https://evil.example/v1/"}}, scope="project")
    notes = " ".join(seen(machine, ANTHROPIC_API_KEY="k").notes)

    assert "doubles" in notes
    assert "./.claude/settings.json:3, says where the credential goes" in notes


@pytest.mark.parametrize(
    "odd", [{"CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1"}, {"ANTHROPIC_CUSTOM_HEADERS": "x-api-key: k"}, {"AWS_PROFILE": ""}]
)
def test_what_was_not_observed_of_a_cloud_is_not_certain(machine: Machine, odd: dict[str, Any]) -> None:
    """Credentials left to a proxy, custom headers, no credentials at all, bare mode."""
    usual: dict[str, Any] = {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_PROFILE": "p"}

    assert seen(machine, **usual).certain
    assert not seen(machine, **{**usual, **odd}).certain
    assert not seen(machine, bare=True, **usual).certain


def test_a_broken_settings_file_makes_it_uncertain(machine: Machine) -> None:
    machine.settings("{")

    assert not seen(machine, ANTHROPIC_API_KEY="k").certain


def test_a_character_that_no_header_takes_makes_it_uncertain(machine: Machine) -> None:
    assert not seen(machine, ANTHROPIC_API_KEY="a\nb").certain
    assert seen(machine, ANTHROPIC_API_KEY="ab\r\n").certain


def test_clients_are_chosen_by_name_and_version() -> None:
    """The newest without one; a patch release is its release; what was not observed is refused by name."""
    assert choose("claude-code").version == NEW
    assert choose("anthropic-python").version == "2.11"
    assert choose("anthropic-js@1.12.0").version == "1.12"
    assert len({(client.name, client.version) for client in CLIENTS}) == 7
    with pytest.raises(UsageError, match="'codex'"):
        choose("codex")
    with pytest.raises(UsageError, match=r"2\.1\.5 was not observed") as caught:
        choose("claude-code@2.1.5")
    assert "claude-code@2.1.77" in (caught.value.hint or "")
