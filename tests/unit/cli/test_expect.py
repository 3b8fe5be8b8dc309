import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import BillingClass, Login, LoginKind

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

KEY = "canary-key"
USERS = [["token"], ["run", "--", "true"], ["-p", "hello"]]
"""Every command that uses a credential."""


def directory(machine: "Machine", name: str) -> Path:
    path = machine.surroundings.environment.cwd / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def go(machine: "Machine", path: Path) -> None:
    machine.environment(cwd=path)


@pytest.mark.requirement("R-03 expect")
@pytest.mark.parametrize("arguments", USERS)
def test_another_purse_is_refused_before_anything_happens(machine: "Machine", arguments: list[str]) -> None:
    """A key and a login, and the subscription is expected: exit 78, the file and line, no request."""
    environment = machine.surroundings.environment
    (environment.home / ".claude").mkdir()
    (environment.home / ".claude/.credentials.json").write_text("")
    (environment.home / ".bashrc").write_text(f"# mine\nexport ANTHROPIC_API_KEY={KEY}\n")
    machine.set(ANTHROPIC_API_KEY=KEY)
    assert machine.run("expect", "billing=subscription").code == 0

    outcome = machine.run(*arguments)

    assert outcome.code == 78
    assert outcome.out == ""
    assert "its billing is metered" in outcome.err
    assert f"{os.path.realpath(environment.cwd)} expects billing=subscription" in outcome.err
    assert "ANTHROPIC_API_KEY is set in ~/.bashrc:2" in outcome.err
    assert "fix: Unset ANTHROPIC_API_KEY" in outcome.err
    assert KEY not in outcome.err
    assert machine.issuer.transport.requests == []


@pytest.mark.requirement("R-03 expect")
def test_a_helper_of_another_purse_does_not_run(machine: "Machine") -> None:
    """The file and line are those of the setting."""
    machine.user_settings('{\n  "apiKeyHelper": "touch ran; echo k"\n}\n')
    machine.run("expect", "billing=cloud")

    outcome = machine.run("token")

    assert outcome.code == 78
    assert "(~/.claude/settings.json:2) would be used" in outcome.err
    assert "Take apiKeyHelper out of ~/.claude/settings.json" in outcome.err
    assert list(machine.surroundings.environment.cwd.iterdir()) == []


def test_the_real_program_exits_with_78(tmp_path: Path) -> None:
    """From the shell's start-up file to the exit code, as a person would meet it."""
    (tmp_path / ".zshrc").write_text(f"export ANTHROPIC_API_KEY={KEY}\n")
    variables = {"HOME": str(tmp_path), "PATH": os.defpath, "ANTHROPIC_API_KEY": KEY, "HTTPS_PROXY": "http://[::1]:1"}

    def keystead(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-c", "from keystead.cli import main; main()", *arguments)
        return subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert keystead("expect", "billing=subscription").returncode == 0
    refused = keystead("-p", "hello")

    assert refused.returncode == 78
    assert "~/.zshrc:1" in refused.stderr.replace("./.zshrc", "~/.zshrc")
    assert KEY not in refused.stderr + refused.stdout


@pytest.mark.parametrize(
    ("field", "held", "broken"),
    [
        ("account", ["old@example.com", "OLD@example.com", "per_0"], "new@example.com"),
        ("organization", ["Old Ltd", "org_0"], "New Ltd"),
        ("provider", ["gateway", "https://keys.example.com"], "anthropic"),
        ("billing", ["gateway"], "metered"),
    ],
)
def test_each_field_holds_by_any_of_its_names(
    machine: "Machine", login: Login, field: str, held: list[str], broken: str
) -> None:
    machine.surroundings.store.save(login)
    for value in held:
        machine.run("expect", f"{field}={value}")
        assert machine.run("token").code == 0
    machine.run("expect", f"{field}={broken}")

    assert machine.run("token").code == 78


@pytest.mark.parametrize("field", ["account=a@example.com", "organization=Acme", "billing=metered"])
def test_what_is_not_known_does_not_hold(machine: "Machine", field: str) -> None:
    """A token says nothing about whose it is."""
    machine.set(ANTHROPIC_AUTH_TOKEN="t")
    machine.run("expect", field)

    outcome = machine.run("token")

    assert outcome.code == 78
    assert "is not known" in outcome.err


@pytest.mark.parametrize(
    ("switch", "provider"),
    [
        ("CLAUDE_CODE_USE_BEDROCK", "bedrock"),
        ("CLAUDE_CODE_USE_FOUNDRY", "foundry"),
        ("CLAUDE_CODE_USE_VERTEX", "vertex"),
    ],
)
def test_a_cloud_is_a_provider_and_a_billing_class(machine: "Machine", switch: str, provider: str) -> None:
    machine.set(**{switch: "1"})
    machine.run("expect", f"provider={provider}", "billing=cloud")
    assert machine.run("expect").code == 0
    machine.run("expect", "provider=anthropic")

    assert machine.run("expect").code == 78


def test_the_nearest_directory_upward_counts(machine: "Machine") -> None:
    """Also through a link to it; outside, nothing is expected."""
    machine.set(ANTHROPIC_API_KEY=KEY)
    outer, inner, other = (
        directory(machine, "outer"),
        directory(machine, "outer/inner/deep"),
        directory(machine, "other"),
    )
    machine.run("expect", "billing=subscription", "--directory", "outer")
    machine.run("expect", "billing=metered", "--directory", "outer/inner")
    link = other / "link"
    link.symlink_to(outer)

    codes = {}
    for place in (outer, inner, other, link, link / "inner"):
        go(machine, place)
        codes[place] = machine.run("token").code

    assert list(codes.values()) == [78, 0, 0, 78, 0]


def test_a_profiles_expectation_goes_with_the_profile(machine: "Machine", login: Login) -> None:
    """Whatever the directory; and it follows the profile to another name."""
    store = machine.surroundings.store
    store.save(login)
    store.at("work").save(replace(login, account=replace(login.account, organization_name="Work Ltd")))
    machine.run("expect", "organization=Old Ltd", "--profile", "work")

    assert machine.run("token").code == 0
    refused = machine.run("--profile", "work", "token")
    assert refused.code == 78
    assert "profile work expects organization=Old Ltd" in refused.err
    assert machine.run("accounts", "rename", "work", "job").code == 0
    assert machine.run("--profile", "job", "token").code == 78
    machine.run("expect", "--remove", "--profile", "job")
    assert machine.run("--profile", "job", "token").code == 0


def test_status_and_explain_show_it(machine: "Machine") -> None:
    machine.set(ANTHROPIC_API_KEY=KEY)
    machine.run("expect", "billing=subscription")

    status = machine.run("status")
    document = json.loads(machine.run("status", "--json").out)
    explained = machine.run("explain").out

    assert status.code == document["exit_code"] == 78
    assert "API key is refused" in status.out
    assert "billing=subscription (for" in " ".join(status.out.split())
    assert document["usable"] is False
    assert document["error"]["code"] == "expectation_failed"
    assert document["expectations"][0]["expected"] == {"billing": "subscription"}
    assert "API key is refused" in explained
    machine.run("expect", "billing=metered")
    assert machine.run("status").code == 0


def test_a_refused_purse_is_not_asked_about_either(machine: "Machine", login: Login) -> None:
    """status --verify and whoami send nothing for a credential that must not be used."""
    machine.surroundings.store.save(login)
    machine.run("expect", "billing=subscription")

    assert machine.run("status", "--verify").code == 78
    assert machine.run("whoami", "--verify").code == 78
    assert machine.issuer.transport.requests == []


def test_declarations_are_listed_and_removed(machine: "Machine") -> None:
    machine.run("expect", "billing=cloud", "provider=vertex")
    machine.run("expect", "account=a@example.com", "--profile", "work")
    here = os.path.realpath(machine.surroundings.environment.cwd)

    listed = json.loads(machine.run("expect", "--list", "--json").out)
    shown = machine.run("expect", "--list").out

    assert listed == {
        "schema": "keystead.expect/1",
        "expectations": [
            {"directory": here, "profile": None, "expected": {"provider": "vertex", "billing": "cloud"}},
            {"directory": None, "profile": "work", "expected": {"account": "a@example.com"}},
        ],
    }
    assert f"{here} expects provider=vertex, billing=cloud" in shown
    assert "no longer expects provider=vertex" in machine.run("expect", "--remove").out
    assert json.loads(machine.run("expect", "--remove", "--json").out)["removed"] is None
    assert "Nothing was expected there" in machine.run("expect", "--remove").out
    machine.run("expect", "--remove", "--profile", "work")
    assert "Nothing is expected anywhere" in machine.run("expect", "--list").out
    assert "Nothing is expected here" in machine.run("expect").out


def test_what_is_expected_here_and_whether_it_holds(machine: "Machine") -> None:
    machine.run("expect", "billing=metered")
    idle = machine.run("expect")
    machine.set(ANTHROPIC_API_KEY=KEY)
    held = machine.run("expect")
    machine.run("expect", "billing=cloud")
    failed = machine.run("expect", "--json")

    assert (idle.code, held.code, failed.code) == (0, 0, 78)
    assert "No credential is in use" in idle.out
    assert "It holds: API key (ANTHROPIC_API_KEY in the environment)" in held.out
    assert json.loads(failed.out)["holds"] is False
    assert json.loads(failed.out)["error"]["code"] == "expectation_failed"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["billing"], "FIELD=VALUE"),
        (["billing="], "FIELD=VALUE"),
        (["colour=blue"], "fields are account, organization, provider, billing"),
        (["billing=free"], "subscription, metered, cloud, gateway"),
        (["billing=unknown"], "'unknown' is no billing class"),
        (["provider=acme"], "'acme' is no provider"),
        (["billing=cloud", "billing=metered"], "billing is given twice"),
        (["billing=cloud", "--list"], "exclude each other"),
        (["--remove", "--list"], "exclude each other"),
        (["billing=cloud", "--directory", "x", "--profile", "y"], "exclude each other"),
        (["billing=cloud", "--directory", "nowhere"], "is not a directory"),
    ],
)
def test_a_declaration_that_could_never_hold_is_refused(machine: "Machine", arguments: list[str], said: str) -> None:
    outcome = machine.run("expect", *arguments)

    assert outcome.code == 2
    assert said in outcome.err


def test_a_damaged_book_refuses_everything(machine: "Machine") -> None:
    """Who may pay is not known, so nobody does (fail closed)."""
    machine.set(ANTHROPIC_API_KEY=KEY)
    machine.run("expect", "billing=metered")
    (machine.surroundings.environment.state_dir / "expectations.json").write_text("{")

    for arguments in (*USERS, ["status"]):
        outcome = machine.run(*arguments)
        assert outcome.code == 78
        assert "expectations.json is damaged" in " ".join((outcome.out + outcome.err).split())


@pytest.mark.requirement("R-03 warned")
def test_a_shadowed_purse_is_told_once_for_each_directory_and_pair(machine: "Machine") -> None:
    """On stderr, so that the token stays alone on its line; status says it every time."""
    environment = machine.surroundings.environment
    (environment.home / ".claude").mkdir()
    (environment.home / ".claude/.credentials.json").write_text("")
    machine.set(ANTHROPIC_API_KEY=KEY)

    first, second = machine.run("token"), machine.run("token")
    go(machine, directory(machine, "elsewhere"))
    elsewhere = machine.run("token")
    machine.user_settings(f'{{"apiKeyHelper": "echo {KEY}"}}')
    machine.environment(variables={"PATH": os.defpath})
    pair = machine.run("token")

    assert [one.out for one in (first, second, elsewhere, pair)] == [f"{KEY}\n"] * 4
    assert "bills as metered" in first.err
    assert "would bill as subscription" in first.err
    assert "keystead expect billing=subscription" in first.err
    assert second.err == ""
    assert "bills as metered" in elsewhere.err
    assert "API key helper (~/.claude/settings.json:1) is used" in pair.err
    assert all("would bill as subscription" in " ".join(machine.run("status").out.split()) for _ in range(2))


@pytest.mark.requirement("R-03 expect")
def test_a_dot_env_is_never_loaded(machine: "Machine") -> None:
    """The key of another project's service is not the person's purse."""
    (machine.surroundings.environment.cwd / ".env").write_text(f"ANTHROPIC_API_KEY={KEY}\n")

    assert machine.run("token").code == 4


def test_no_word_where_there_is_one_purse(machine: "Machine", login: Login) -> None:
    """And nothing is written for it."""
    machine.set(ANTHROPIC_API_KEY=KEY)
    assert machine.run("token").err == ""
    assert not machine.surroundings.environment.state_dir.exists()
    machine.surroundings.store.save(replace(login, kind=LoginKind.ACCOUNT, billing=BillingClass.METERED))

    assert machine.run("token").err == ""


def test_where_nothing_can_be_remembered_it_is_told_each_time(machine: "Machine") -> None:
    environment = machine.surroundings.environment
    (environment.home / ".claude").mkdir()
    (environment.home / ".claude/.credentials.json").write_text("")
    environment.state_dir.write_text("a file where the directory should be")
    machine.set(ANTHROPIC_API_KEY=KEY)

    outcomes = [machine.run("token") for _ in range(2)]

    assert [one.code for one in outcomes] == [0, 0]
    assert all("would bill as subscription" in one.err for one in outcomes)
