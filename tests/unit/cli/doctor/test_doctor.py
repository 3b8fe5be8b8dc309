"""What the doctor finds on a made-up machine."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keystead.cli.doctor import CHECKS
from keystead.errors import ServerUnreachable
from keystead.wire import dates
from keystead.wire.http import Response

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

    from keystead.credentials import Login

KEY = "sk-ant-api03-" + "canaryCANARY0123456789ab"


def findings(machine: "Machine", *arguments: str) -> list[dict[str, Any]]:
    """Every finding, with the id of its check; the output is searched for the key."""
    only = [one for check in arguments if not check.startswith("-") for one in ("--only", check)]
    options = [one for one in arguments if one.startswith("-")]
    outcome = machine.run("doctor", "--json", *only, *options)
    assert "canary" not in (outcome.out + outcome.err).lower()
    document = json.loads(outcome.out)
    found = [{"check": check["id"], **one} for check in document["checks"] for one in check["findings"]]
    assert outcome.code == document["exit_code"] == (78 if any(one["weight"] == "problem" for one in found) else 0)
    return found


def project(machine: "Machine", name: str, content: str) -> Path:
    path = machine.surroundings.environment.cwd / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def home(machine: "Machine", name: str, content: str) -> Path:
    path = machine.surroundings.environment.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_a_bare_machine_is_well_and_stays_as_it_is(machine: "Machine", tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))

    outcome = machine.run("doctor")

    assert outcome.code == 0
    assert "No problems found." in outcome.out
    assert all(check.title in outcome.out for check in CHECKS)
    assert sorted(tmp_path.rglob("*")) == before
    assert machine.issuer.transport.requests == []


@pytest.mark.requirement("R-28 provenance")
@pytest.mark.parametrize(
    ("name", "line"),
    [
        (".bashrc", "export ANTHROPIC_API_KEY=canary"),
        (".zshrc", "test -n x && export A=1 ANTHROPIC_API_KEY='canary'"),
        (".config/fish/config.fish", "set -gx ANTHROPIC_API_KEY canary"),
        (".config/fish/fish_variables", "SETUVAR --export ANTHROPIC_API_KEY:canary"),
        (".config/environment.d/key.conf", "ANTHROPIC_API_KEY=canary"),
        (".pam_environment", "ANTHROPIC_API_KEY DEFAULT=canary"),
        (".config/Code/User/settings.json", '"terminal.integrated.env.linux": {"ANTHROPIC_API_KEY": "canary"}'),
    ],
)
def test_every_place_that_sets_a_variable_is_named_with_its_line(machine: "Machine", name: str, line: str) -> None:
    """And the one line that removes it; never the value, nor a comment."""
    home(machine, name, f"# ANTHROPIC_API_KEY=old\n\n{line}\n")
    machine.set(ANTHROPIC_API_KEY="canary")

    (found,) = [one for one in findings(machine, "variables") if one["place"].startswith("~")]

    assert found["place"] == f"~/{name}:3"
    assert "3" in found["fix"] or "ANTHROPIC_API_KEY" in found["fix"]


@pytest.mark.requirement("R-28 provenance")
@pytest.mark.parametrize("name", [".env", ".envrc"])
def test_files_of_the_project_are_named_too(machine: "Machine", name: str) -> None:
    project(machine, name, "ANTHROPIC_AUTH_TOKEN=canary\n")

    assert f"./{name}:1" in {one["place"] for one in findings(machine, "variables")}


@pytest.mark.requirement("R-28 provenance")
def test_a_variable_that_no_file_sets_is_called_left_over(machine: "Machine") -> None:
    """The shell still exports what was removed from its file."""
    machine.set(ANTHROPIC_API_KEY="canary")

    (found,) = [one for one in findings(machine, "variables") if one["weight"] == "warning"]

    assert "left over" in found["message"]
    assert found["fix"].endswith("unset ANTHROPIC_API_KEY")


def test_a_settings_file_that_sets_it_is_named(machine: "Machine") -> None:
    machine.user_settings('{"env": {\n"ANTHROPIC_API_KEY": "canary"}}').chmod(0o600)

    assert "~/.claude/settings.json:2" in {one["place"] for one in findings(machine, "variables")}


@pytest.mark.requirement("R-22 surfaces")
def test_shell_and_desktop_are_compared_by_name(machine: "Machine") -> None:
    home(machine, ".config/environment.d/key.conf", "ANTHROPIC_AUTH_TOKEN=canary")
    machine.set(ANTHROPIC_API_KEY="canary")

    said = {one["place"]: one["message"] for one in findings(machine, "surfaces")}

    assert "in this shell only" in said["ANTHROPIC_API_KEY"]
    assert "not in this shell" in said["ANTHROPIC_AUTH_TOKEN"]


@pytest.mark.requirement("R-17 leaks")
@pytest.mark.parametrize("name", ["Dockerfile", ".env", ".claude/settings.json", "deep/below/notes.txt"])
def test_a_key_in_the_project_is_found_by_place(machine: "Machine", name: str) -> None:
    project(machine, name, f"\nENV ANTHROPIC_API_KEY={KEY}\n")

    (found,) = findings(machine, "leaks")

    assert (found["weight"], found["place"]) == ("problem", f"./{name}:2")
    assert len(found["fingerprint"]) == 12


@pytest.mark.requirement("R-17 leaks")
def test_a_key_in_the_shell_history_is_found_and_is_the_same_key(machine: "Machine") -> None:
    home(machine, ".bash_history", f"ls\nexport ANTHROPIC_API_KEY={KEY}\n")
    project(machine, "Dockerfile", f"ENV ANTHROPIC_API_KEY={KEY}\n")

    first, second = findings(machine, "leaks")

    assert first["place"] == "~/.bash_history:2"
    assert first["fingerprint"] == second["fingerprint"]


def test_a_tracked_file_is_in_the_history(machine: "Machine") -> None:
    """Which git knows is read from its index, without running it."""
    cwd = machine.surroundings.environment.cwd
    for name in ("tracked.txt", "a-much-longer-name-that-needs-padding.txt", "untracked.txt"):
        project(machine, name, KEY)
    for command in (["init", "-q"], ["add", "tracked.txt", "a-much-longer-name-that-needs-padding.txt"]):
        subprocess.run(["git", *command], cwd=cwd, check=True, capture_output=True)

    tracked = {one["place"] for one in findings(machine, "leaks") if "git tracks" in one["message"]}

    assert tracked == {"./tracked.txt:1", "./a-much-longer-name-that-needs-padding.txt:1"}


def test_what_is_not_the_projects_is_not_opened(machine: "Machine", tmp_path: Path) -> None:
    """Links, dependencies, other products' logins; a damaged index is no obstacle."""
    (tmp_path / "outside.txt").write_text(KEY)
    project(machine, "link", "x").unlink()
    (machine.surroundings.environment.cwd / "link").symlink_to(tmp_path / "outside.txt")
    for name in (".credentials.json", "node_modules/x.txt", ".git/index"):
        project(machine, name, KEY)

    assert findings(machine, "leaks") == []


@pytest.mark.requirement("R-29 malformed")
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("canary\nkey", "a line break at character 7"),
        ("\ufeffcanary", "a byte order mark"),
        ("\u201ccanary", "a typographic quote"),
        ("Bearer canary", "Bearer"),
        ('"canary"', "quotes"),
        (" canary", "a space at character 1"),
        ("   ", "blank"),
    ],
)
def test_a_secret_that_cannot_be_sent_is_named_by_position_and_class(machine: "Machine", value: str, says: str) -> None:
    machine.set(ANTHROPIC_AUTH_TOKEN=value)

    (found,) = findings(machine, "secrets")

    assert says in found["message"]
    assert ("tr -d" in found["fix"]) == (value == " canary"), "only outer white space is safe to trim"


@pytest.mark.requirement("R-18 doctor")
def test_fix_closes_what_is_open_and_undo_opens_it_again(machine: "Machine") -> None:
    directory = machine.surroundings.environment.state_dir
    directory.mkdir(mode=0o755)
    (directory / "credentials.json").write_text("{}")
    (directory / "credentials.json").chmod(0o644)
    (directory / ".credentials.json.0a.tmp").write_text("canary")
    (directory / ".credentials.json.0a.tmp").chmod(0o600)

    assert [one["repairable"] for one in findings(machine, "state")] == [True, True, True]
    assert findings(machine, "state", "--fix") == []
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "credentials.json").stat().st_mode & 0o777 == 0o600

    assert json.loads(machine.run("doctor", "undo", "--json").out)["undone"]
    assert directory.stat().st_mode & 0o777 == 0o755
    assert (directory / "credentials.json").stat().st_mode & 0o777 == 0o644
    assert (directory / ".credentials.json.0a.tmp").read_text() == "canary"
    assert machine.run("doctor", "undo").out == "There is nothing to undo.\n"


def test_a_key_in_a_settings_file_that_others_can_read(machine: "Machine") -> None:
    path = machine.user_settings('{"env": {"ANTHROPIC_API_KEY": "canary"}}')
    path.chmod(0o644)

    (found,) = findings(machine, "settings")
    assert "other users" in found["message"]
    assert findings(machine, "settings", "--fix") == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_settings_that_cannot_be_read_are_named_with_their_line(machine: "Machine") -> None:
    machine.user_settings('{"env":\n 1}').chmod(0o600)

    (found,) = findings(machine, "settings")

    assert found["place"] == "~/.claude/settings.json:2"


def test_an_untrusted_command_of_the_project_is_named(machine: "Machine") -> None:
    project(machine, ".claude/settings.json", '{"apiKeyHelper": "echo x"}')

    (found,) = findings(machine, "settings")
    assert "keystead trust" in found["fix"]
    machine.run("trust")
    assert findings(machine, "settings") == []


@pytest.mark.requirement("R-13 doctor")
def test_proxies_and_certificates_that_cannot_work_are_named(machine: "Machine", tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("not a certificate")
    machine.set(
        HTTPS_PROXY="nonsense", ALL_PROXY="http://ada:canary@proxy.example:3128", NO_PROXY="a", no_proxy="b",
        SSL_CERT_FILE=str(tmp_path / "gone.pem"), NODE_EXTRA_CA_CERTS=str(tmp_path / "empty.pem"),
        CLAUDE_CODE_CLIENT_CERT=str(tmp_path / "empty.pem"),
    )  # fmt: skip

    said = {(one["place"], one["weight"]) for one in findings(machine, "proxy", "certificates")}

    assert {("HTTPS_PROXY", "problem"), ("ALL_PROXY", "warning"), ("NO_PROXY", "warning")} <= said
    assert {("SSL_CERT_FILE", "problem"), ("NODE_EXTRA_CA_CERTS", "problem")} <= said
    assert ("CLAUDE_CODE_CLIENT_CERT", "problem") in said


@pytest.mark.requirement("R-26 doctor")
def test_a_server_with_another_time_is_named(machine: "Machine") -> None:
    date = dates.dump(machine.surroundings.clock.now() + 3600)
    machine.issuer.answer("GET /", Response(404, {"date": date}, b""))

    said = {one["message"]: one["weight"] for one in findings(machine, "network", "--network")}

    assert any(text.startswith("this clock is 1 hour behind") for text in said)
    assert "authorization" not in {name for one in machine.issuer.transport.requests for name in one.headers}


def test_a_server_that_cannot_be_reached_is_named(machine: "Machine") -> None:
    machine.issuer.answer("GET /", ServerUnreachable("It cannot be reached.", hint="Check it."))

    (found,) = findings(machine, "network", "--network")

    assert (found["weight"], found["fix"]) == ("problem", "Check it.")


def test_a_clock_before_this_version_is_wrong(machine: "Machine") -> None:
    machine.surroundings.clock.advance(-400 * 86400)  # type: ignore[attr-defined]

    assert [one["weight"] for one in findings(machine, "clock")] == ["problem"]


def test_other_products_are_noticed_and_not_opened(machine: "Machine") -> None:
    home(machine, ".claude/.credentials.json", "canary").chmod(0)
    home(machine, ".codex/auth.json", "canary")

    assert {one["place"] for one in findings(machine, "others")} == {
        "~/.claude/.credentials.json",
        "~/.codex/auth.json",
    }


def test_the_report_for_people_shows_place_fix_and_no_secret(machine: "Machine") -> None:
    project(machine, "Dockerfile", f"ENV ANTHROPIC_API_KEY={KEY}\n")

    outcome = machine.run("doctor")

    assert outcome.code == 78
    assert "./Dockerfile:1: an Anthropic API key lies here in the open." in outcome.out
    assert "1 problem found." in outcome.out
    assert "canary" not in outcome.out


def test_a_damaged_record_is_named_with_what_repairs_it(machine: "Machine", login: "Login") -> None:
    machine.surroundings.store.save(login)
    machine.surroundings.store.save(login)
    assert findings(machine, "store") == []
    path = machine.surroundings.environment.state_dir / "credentials.json"
    path.write_text(path.read_text()[:-20])

    (found,) = findings(machine, "store")

    assert "damaged" in found["message"]
    assert found["fix"] == "Run: keystead store fsck --fix"
    assert machine.run("store", "fsck", "--fix").code == 0
    assert findings(machine, "store") == []
