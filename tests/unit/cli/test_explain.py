import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Login
from keystead.sources import SOURCES

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

HELPER = '{\n  "apiKeyHelper": "touch ran"\n}\n'


def test_every_candidate_is_explained_with_its_place(machine: "Machine") -> None:
    machine.user_settings(HELPER)
    machine.set(ANTHROPIC_API_KEY="canary-key")

    outcome = machine.run("explain")

    assert outcome.code == 0
    assert all(source.title in outcome.out for source in SOURCES)
    assert "API key is used" in outcome.out
    assert "~/.claude/settings.json:2" in outcome.out
    assert "If API key were gone, next would come API key helper." in " ".join(outcome.out.split())
    assert "canary" not in outcome.out


def test_the_decision_is_data(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.user_settings(HELPER)
    machine.set(ANTHROPIC_API_KEY="canary-key", CLAUDE_CODE_OAUTH_TOKEN="canary-token")

    outcome = machine.run("explain", "--json")
    document = json.loads(outcome.out)

    assert outcome.code == 0
    assert document["schema"] == "keystead.explain/1"
    assert document["winner"]["source"] == "gateway_session"
    assert [one["source"] for one in document["considered"]] == [source.id for source in SOURCES]
    assert [one["source"] for one in document["next"]] == ["api_key", "api_key_helper"]
    assert document["next"][1]["place"] == "~/.claude/settings.json:2"
    assert "wire" not in document
    assert "canary" not in outcome.out


@pytest.mark.requirement("R-27 looking")
@pytest.mark.parametrize("command", ["explain", "status"])
def test_a_key_by_reference_is_explained_by_its_sort_and_not_read(machine: "Machine", command: str) -> None:
    """People put keys into commands, so of a reference no more is shown than its first word."""
    machine.set(KEYSTEAD_API_KEY="exec:sh -c 'touch ran; echo canary'")

    shown = " ".join(machine.run(command).out.split())
    document = json.loads(machine.run(command, "--json").out)

    assert "API key by reference is used" in shown
    row = next(one for one in document["considered"] if one["source"] == "api_key_reference")
    assert row["reason"] == "KEYSTEAD_API_KEY names a place (exec:); it is read when a key is needed"
    assert "canary" not in f"{shown} {document}"
    assert not list(machine.surroundings.environment.home.rglob("ran"))


@pytest.mark.requirement("R-28 names")
def test_a_variable_is_explained_by_the_lines_that_set_it(machine: "Machine") -> None:
    """A variable has no file of its own; the shell's start-up files do. The value is not repeated."""
    home = machine.surroundings.environment.home
    (home / ".profile").write_text("# ANTHROPIC_API_KEY=old\nexport ANTHROPIC_API_KEY=canary-key\n")
    machine.set(ANTHROPIC_API_KEY="canary-key")

    document = json.loads(machine.run("explain", "--json").out)
    shown = machine.run("explain").out

    assert document["set_in"] == {"ANTHROPIC_API_KEY": ["~/.profile:2"]}
    assert "ANTHROPIC_API_KEY is set in ~/.profile:2." in shown
    assert "canary" not in shown


def test_nothing_is_run_sent_or_written(machine: "Machine") -> None:
    """Also when another client would run the helper."""
    machine.user_settings(HELPER)

    machine.run("explain")
    machine.run("explain", "--as", "claude-code", "--json")

    environment = machine.surroundings.environment
    assert list(environment.cwd.iterdir()) == []
    assert not environment.state_dir.exists()
    assert machine.issuer.transport.requests == []


def test_unset_decides_as_if_nothing_set_it(machine: "Machine") -> None:
    """Neither the shell nor a settings file, whether a variable or a setting; repeatable."""
    machine.user_settings('{"env": {"ANTHROPIC_AUTH_TOKEN": "t"}, "apiKeyHelper": "x"}')
    machine.set(ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="k")

    def winner(*arguments: str) -> object:
        document = json.loads(machine.run("explain", "--json", *arguments).out)
        assert document["unset"] == list(arguments[1::2])
        return document["winner"] and document["winner"]["source"]

    token, key, helper = (("--unset", name) for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "apiKeyHelper"))
    assert winner() == "auth_token"
    assert winner(*token) == "api_key"
    assert winner(*token, *key) == "api_key_helper"
    assert winner(*token, *key, *helper) is None
    assert "Without ANTHROPIC_AUTH_TOKEN: API key is used." in machine.run("explain", *token).out


def test_a_broken_winner_is_named_in_the_line_of_succession(machine: "Machine") -> None:
    machine.set(ANTHROPIC_AUTH_TOKEN="two words", ANTHROPIC_API_KEY="k")

    out = " ".join(machine.run("explain").out.split())

    assert "No credential can be used: ANTHROPIC_AUTH_TOKEN has a space" in out
    assert "If Bearer token were repaired or removed, next would come API key." in out


@pytest.mark.requirement("R-34 clients")
def test_another_client_is_explained_in_the_same_words(machine: "Machine") -> None:
    machine.user_settings(HELPER)
    machine.set(ANTHROPIC_API_KEY="canary-key")

    document = json.loads(machine.run("explain", "--as", "claude-code@2.1.330", "--json").out)
    shown = machine.run("explain", "--as", "anthropic-python").out

    assert document["wire"] == {"authorization": "api_key_helper", "x-api-key": "api_key"}
    assert document["as"] == {"client": "claude-code", "version": "2.1.330", "bare": False, "interactive": False}
    assert document["places"]["api_key_helper"] == "~/.claude/settings.json:2"
    assert (document["certain"], document["reason"]) == (True, None)
    assert "anthropic-python 2.11 would send here:" in shown
    assert "api_key (ANTHROPIC_API_KEY in the environment)" in shown
    assert "canary" not in shown


def test_silence_and_doubt_have_their_reason(machine: "Machine") -> None:
    silent = machine.run("explain", "--as", "claude-code")
    document = json.loads(machine.run("explain", "--as", "claude-code", "--json").out)
    machine.set(ANTHROPIC_API_KEY="k")
    doubtful = machine.run("explain", "--as", "claude-code", "--interactive")

    assert silent.code == 0
    assert "would send nothing: it exits with 1, not logged in" in " ".join(silent.out.split())
    assert document["wire"] == {"authorization": None, "x-api-key": None}
    assert "not logged in" in document["reason"]
    assert "? Not certain: the person is asked about ANTHROPIC_API_KEY" in doubtful.out


def test_keysteads_own_sign_in_is_no_others(machine: "Machine", login: Login) -> None:
    """Another client does not read Keystead's files; what hands it over is named."""
    machine.surroundings.store.save(login)

    document = json.loads(machine.run("explain", "--as", "claude-code", "--json").out)

    assert document["winner"]["source"] == "gateway_session"
    assert document["wire"] == {"authorization": None, "x-api-key": None}
    assert "keystead run" in document["notes"][0]


def test_bare_with_a_helper_on_the_command_line(machine: "Machine") -> None:
    """Settings are given as JSON or as a file, as to the client itself."""
    file = machine.surroundings.environment.cwd / "given.json"
    file.write_text('{"apiKeyHelper": "x"}')

    for given in (str(file), "given.json", '{"apiKeyHelper": "x"}'):
        document = json.loads(
            machine.run("explain", "--as", "claude-code", "--bare", "--settings", given, "--json").out
        )
        assert document["wire"]["authorization"] == "api_key_helper"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--bare"], 2, "Add --as CLIENT"),
        (["--as", "claude-code", "--diff", "x"], 2, "exclude each other"),
        (["--as", "codex"], 2, "no rules for a client called 'codex'"),
        (["--as", "claude-code@1.0"], 2, "1.0 was not observed"),
        (["--as", "anthropic-js", "--bare"], 2, "no bare or interactive mode"),
        (["--as", "claude-code", "--settings", "nowhere.json"], 2, "nowhere.json cannot be read"),
        (["--as", "claude-code", "--settings", "{"], 78, "cannot be read"),
        (["--diff", "nowhere"], 2, "nowhere cannot be read"),
    ],
)
def test_mistakes_are_named(machine: "Machine", arguments: list[str], code: int, said: str) -> None:
    outcome = machine.run("explain", *arguments)

    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def environment_file(machine: "Machine", text: bytes) -> Path:
    file = machine.surroundings.environment.cwd / "other"
    file.write_bytes(text)
    return file


@pytest.mark.requirement("R-28 names")
@pytest.mark.parametrize("separator", [b"\0", b"\n"])
def test_two_environments_differ_by_name_only(machine: "Machine", separator: bytes) -> None:
    """The output of env or env -0 from elsewhere: what is set where, and who would win there."""
    machine.set(ANTHROPIC_API_KEY="canary-1", AWS_PROFILE="same", ANTHROPIC_MODEL="canary-2", SHLVL="1")
    pairs = [b"ANTHROPIC_AUTH_TOKEN=canary-3", b"AWS_PROFILE=same", b"ANTHROPIC_MODEL=canary-4", b"SHLVL=2", b"TERM=x"]
    file = environment_file(machine, separator.join(pairs))

    outcome = machine.run("explain", "--diff", str(file), "--json")
    shown = machine.run("explain", "--diff", str(file)).out

    assert json.loads(outcome.out)["diff"] == {
        "only_here": ["ANTHROPIC_API_KEY"],
        "only_there": ["ANTHROPIC_AUTH_TOKEN"],
        "different": ["ANTHROPIC_MODEL"],
        "others": 2,
        "winner_here": "api_key",
        "winner_there": "auth_token",
    }
    assert "Here api_key is used, there auth_token." in shown
    assert "canary" not in shown + outcome.out


def test_a_report_from_elsewhere_is_compared_without_values(machine: "Machine") -> None:
    """Its fingerprints are salted anew each time, and still say what is equal."""
    machine.set(ANTHROPIC_API_KEY="canary-1", ANTHROPIC_MODEL="m", ANTHROPIC_BASE_URL="https://a.example")
    report = machine.run("explain", "--json").out
    file = environment_file(machine, report.encode())
    machine.set(ANTHROPIC_API_KEY="canary-2", ANTHROPIC_AUTH_TOKEN="t")

    found = json.loads(machine.run("explain", "--diff", str(file), "--json").out)["diff"]

    assert (found["only_here"], found["only_there"]) == (["ANTHROPIC_AUTH_TOKEN"], [])
    assert found["different"] == ["ANTHROPIC_API_KEY"]
    assert (found["winner_here"], found["winner_there"], found["others"]) == ("auth_token", "api_key", None)
    assert "canary" not in report


def test_lines_that_continue_a_value_are_no_variables(machine: "Machine") -> None:
    file = environment_file(machine, b"ANTHROPIC_MODEL=a\nb c\nANTHROPIC_API_KEY=k\n")
    machine.set(ANTHROPIC_MODEL="a\nb c", ANTHROPIC_API_KEY="k")

    out = machine.run("explain", "--diff", str(file)).out

    assert "Both use api_key" in out
    assert "No variable that matters differs" in out


@pytest.mark.parametrize("text", [b"", b"nothing here", b"{}", b'{"schema": "keystead.status/1"}', b"{\xff", b"[" * 9])
def test_what_is_no_environment_is_refused(machine: "Machine", text: bytes) -> None:
    outcome = machine.run("explain", "--diff", str(environment_file(machine, text)))

    assert outcome.code == 2
    assert "fix: Write it with:" in outcome.err


def test_a_variable_of_any_bytes_has_a_fingerprint(machine: "Machine") -> None:
    machine.set(ANTHROPIC_MODEL="\udcff")

    assert machine.run("explain", "--json").code == 0


def test_every_line_fits_a_narrow_terminal(machine: "Machine") -> None:
    machine.user_settings(HELPER)
    machine.set(ANTHROPIC_API_KEY="k", COLUMNS="40", NO_COLOR="1")
    machine.environment(stdout_tty=True)

    for arguments in ([], ["--as", "claude-code"]):
        written = machine.run("explain", *arguments).out
        assert [line for line in written.splitlines() if len(line) > 40 and " " in line.strip()] == []
