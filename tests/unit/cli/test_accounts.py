"""Several accounts on one machine: which is meant, and that no other is touched."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Account, Login, LoginKind
from keystead.secret import Secret

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

Keep = Callable[[str], Login]


@pytest.fixture
def keep(machine: "Machine", login: Login) -> Keep:
    """Sign a profile in; its tokens and its account carry its name."""

    def sign_in(profile: str) -> Login:
        tokens = replace(login.tokens, access_token=Secret(f"canary-{profile}"), refresh_token=Secret(f"r-{profile}"))
        account = Account(f"per_{profile}", f"{profile}@example.com", None, f"org_{profile}", f"{profile} Ltd")
        store = machine.surroundings.store.at(profile)
        return store.save(replace(login, tokens=tokens, account=account))

    return sign_in


@pytest.mark.requirement("R-04 order")
def test_flag_then_variable_then_binding_then_default(machine: "Machine", keep: Keep) -> None:
    for profile in ("default", "bound", "variable", "flag"):
        keep(profile)

    assert machine.run("token").out == "canary-default\n"
    machine.run("accounts", "bind", "bound")
    assert machine.run("token").out == "canary-bound\n"
    machine.set(KEYSTEAD_PROFILE="variable")
    assert machine.run("token").out == "canary-variable\n"
    assert machine.run("--profile", "flag", "token").out == "canary-flag\n"
    assert machine.run("token", "--profile", "flag").out == "canary-flag\n"
    machine.set(KEYSTEAD_PROFILE="")
    assert machine.run("token").out == "canary-bound\n"


@pytest.mark.requirement("R-04 clone")
def test_the_nearest_bound_directory_counts_and_links_are_followed(
    machine: "Machine", keep: Keep, tmp_path: Path
) -> None:
    keep("outer")
    keep("inner")
    project = tmp_path / "project"
    (project / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(project / "a")
    machine.run("accounts", "bind", "outer", str(project))
    machine.run("accounts", "bind", "inner", str(tmp_path / "link"))

    for directory, expected in ((project, "outer"), (project / "a/b", "inner"), (tmp_path / "link", "inner")):
        machine.environment(cwd=directory)
        assert machine.run("token").out == f"canary-{expected}\n"
    machine.environment(cwd=project / "a")
    assert machine.run("accounts", "unbind").code == 0
    assert machine.run("token").out == "canary-outer\n"
    assert machine.run("accounts", "unbind").code == 2


@pytest.mark.requirement("R-04 clone")
def test_nothing_in_a_project_chooses(machine: "Machine", keep: Keep) -> None:
    keep("default")
    keep("evil")
    project = machine.surroundings.environment.cwd
    (project / ".keystead").mkdir()
    (project / ".keystead/bindings.json").write_text(
        json.dumps({"schema": "keystead.bindings/1", "bindings": {str(project): "evil"}})
    )
    (project / ".env").write_text("KEYSTEAD_PROFILE=evil\n")
    (project / ".claude").mkdir()
    (project / ".claude/settings.json").write_text('{"env": {"KEYSTEAD_PROFILE": "evil"}}')

    assert machine.run("token").out == "canary-default\n"


def test_a_profile_without_a_sign_in_falls_to_no_other_account(machine: "Machine", keep: Keep) -> None:
    keep("default")

    outcome = machine.run("--profile", "work", "token")

    assert (outcome.code, outcome.out) == (4, "")


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "é", "x" * 65, "a\n"])
def test_what_is_no_name_is_refused_and_no_other_account_used(machine: "Machine", keep: Keep, name: str) -> None:
    keep("default")
    keep("x")

    assert machine.run("token", "--profile", name).code == 78
    assert machine.run("accounts", "bind", "--", name).code == 78
    assert machine.run("accounts", "rename", "--", "x", name).code == 78
    machine.set(KEYSTEAD_PROFILE=name)
    outcome = machine.run("token")
    assert (outcome.code, outcome.out) == ((78, "") if name else (0, "canary-default\n"))
    assert machine.run("login", "--server", "https://keys.example.com").code == (78 if name else 0)


def test_bindings_that_cannot_be_read_use_no_account_but_a_named_one(machine: "Machine", keep: Keep) -> None:
    keep("default")
    machine.run("accounts", "bind", "default")
    machine.surroundings.environment.state_dir.joinpath("bindings.json").write_text("{")

    status, listed = machine.run("status"), machine.run("accounts", "list")

    assert (status.code, machine.run("token").code, listed.code) == (78, 78, 78)
    assert "bindings.json is damaged" in " ".join(status.out.split())
    assert machine.run("token", "--profile", "default").out == "canary-default\n"


def test_status_names_the_profile_and_why(machine: "Machine", keep: Keep) -> None:
    keep("work")
    machine.run("accounts", "bind", "work")
    project = str(machine.surroundings.environment.cwd)

    bound, flagged = machine.run("status", "--json"), machine.run("status", "--json", "--profile", "work")

    assert json.loads(bound.out)["profile"] == {"name": "work", "selected_by": "binding", "place": project}
    assert json.loads(flagged.out)["profile"] == {"name": "work", "selected_by": "flag", "place": "--profile"}
    assert f"work (bound to {project})" in " ".join(machine.run("status").out.split())
    machine.set(KEYSTEAD_PROFILE="nobody")
    assert "nobody (chosen by KEYSTEAD_PROFILE)" in machine.run("status").out


def test_the_list_shows_whose_each_is_and_sends_nothing(machine: "Machine", keep: Keep) -> None:
    keep("default")
    keep("work")
    machine.run("accounts", "bind", "later", str(machine.surroundings.environment.home))
    machine.change(network=lambda: pytest.fail("a request was about to be sent"))

    told, listed = machine.run("accounts", "list"), json.loads(machine.run("accounts", "list", "--json").out)

    assert [one["profile"] for one in listed["accounts"]] == ["default", "later", "work"]
    assert [one["selected"] for one in listed["accounts"]] == [True, False, False]
    assert listed["accounts"][1]["directories"] == [str(machine.surroundings.environment.home)]
    assert listed["accounts"][2]["logins"][0]["organization"] == {"id": "org_work", "name": "work Ltd"}
    assert "work@example.com" in told.out
    assert "default  (used here)" in told.out
    assert "canary" not in told.out + json.dumps(listed)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "present, expires in 1 hour"),
        ({"age": 9000.0}, "expired 1 hour 30 minutes ago"),
        ({"ended": 1.0}, "ended by its server"),
    ],
)
def test_the_list_says_what_state_a_sign_in_is_in(
    machine: "Machine", login: Login, change: dict[str, float], state: str
) -> None:
    issued_at = login.tokens.issued_at - change.get("age", 0)
    tokens = replace(login.tokens, issued_at=issued_at)
    machine.surroundings.store.save(replace(login, tokens=tokens, retired_at=change.get("ended")))

    assert state in machine.run("accounts", "list").out


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("/bin/bash", "export KEYSTEAD_PROFILE=work"),
        ("/usr/bin/fish", "set -gx KEYSTEAD_PROFILE work"),
        ("", "export KEYSTEAD_PROFILE=work"),
    ],
)
@pytest.mark.requirement("R-04 shells")
def test_use_prints_what_changes_this_shell_and_changes_nothing(
    machine: "Machine", keep: Keep, shell: str, line: str
) -> None:
    keep("default")
    keep("work")
    machine.set(SHELL=shell)
    before = {file.name: file.read_bytes() for file in machine.surroundings.environment.state_dir.iterdir()}

    outcome = machine.run("accounts", "use", "work")

    assert (outcome.code, outcome.out, outcome.err) == (0, f"{line}\n", "")
    assert {file.name: file.read_bytes() for file in machine.surroundings.environment.state_dir.iterdir()} == before
    assert machine.run("token").out == "canary-default\n"
    assert machine.run("accounts", "use", "nobody").code == 4
    assert json.loads(machine.run("accounts", "use", "work", "--json").out)["line"] == line
    machine.environment(stdout_tty=True)
    assert "Nothing has changed yet" in machine.run("accounts", "use", "work").err


def test_a_rename_takes_sign_ins_and_directories_along(machine: "Machine", keep: Keep) -> None:
    keep("default")
    saved = keep("work")
    machine.run("accounts", "bind", "work")

    outcome = machine.run("accounts", "rename", "work", "job")

    assert outcome.code == 0
    assert machine.surroundings.store.at("job").load(LoginKind.GATEWAY) == saved
    assert machine.run("token").out == "canary-work\n"
    assert machine.run("accounts", "rename", "job", "default").code == 78
    assert machine.run("accounts", "rename", "work", "x").code == 4
    assert machine.surroundings.store.profiles() == ("default", "job")


def test_a_rename_takes_along_what_is_expected(machine: "Machine", keep: Keep) -> None:
    keep("work")
    machine.run("expect", "organization=Elsewhere", "--profile", "work")

    machine.run("accounts", "rename", "work", "job")

    assert machine.run("token", "--profile", "job").code == 78


@pytest.mark.requirement("R-04 switch")
def test_removing_one_account_leaves_the_others_signed_in(machine: "Machine", keep: Keep) -> None:
    other = keep("default")
    keep("work")
    machine.run("accounts", "bind", "work")

    outcome = machine.run("accounts", "remove", "work")

    assert outcome.code == 0
    assert "The server has revoked it." in outcome.out
    assert machine.issuer.revoked == ["r-work", "canary-work"]
    assert machine.surroundings.store.load(LoginKind.GATEWAY) == other
    assert machine.run("token").out == "canary-default\n"
    assert machine.run("accounts", "remove", "work").code == 4
    removed = json.loads(machine.run("accounts", "remove", "default", "--local", "--json").out)
    assert (removed["ended"][0]["revocation"], removed["unbound"]) == ("not_asked", [])


@pytest.mark.requirement("R-04 switch")
def test_logout_ends_the_profile_meant_here_and_all_of_them_only_when_asked(machine: "Machine", keep: Keep) -> None:
    for profile in ("default", "home", "work"):
        keep(profile)

    assert machine.run("logout", "--profile", "work").code == 0
    assert machine.surroundings.store.profiles() == ("default", "home")
    outcome = machine.run("logout", "--all", "--json")
    ended = json.loads(outcome.out)
    assert [(one["profile"], one["revocation"]) for one in ended["ended"]] == [
        ("default", "revoked"),
        ("home", "revoked"),
    ]
    assert (outcome.code, ended["takes_over"], "canary" in outcome.out) == (0, None, False)
    assert machine.surroundings.store.profiles() == ()
    assert machine.issuer.revoked[::2] == ["r-work", "r-default", "r-home"]
    assert machine.run("logout", "--all").code == 4


def test_login_signs_the_named_profile_in(machine: "Machine", keep: Keep) -> None:
    other = keep("default")

    outcome = machine.run("login", "--server", "https://keys.example.com", "--profile", "work")

    assert outcome.code == 0
    assert "Profile" in outcome.err
    assert machine.surroundings.store.load(LoginKind.GATEWAY) == other
    assert machine.run("token", "--profile", "work").out == "canary-new-access\n"
    assert machine.issuer.revoked == []


def test_a_program_run_with_the_flag_stays_on_its_profile(machine: "Machine") -> None:
    flagged = machine.surroundings.for_profile("work").selection
    machine.set(KEYSTEAD_PROFILE="home")

    assert flagged.variables() == {"KEYSTEAD_PROFILE": "work"}
    assert machine.surroundings.for_profile(None).selection.variables() == {}
