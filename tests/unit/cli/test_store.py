"""``keystead store``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Account, Login, LoginKind
from keystead.sources.login_store import open_store
from keystead.stores.kept import RecordStore
from keystead.testing.transport import json_response

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

BASE = "https://keys.example.com"
KEYRINGS = Path(__file__).resolve().parents[2] / "support/keyrings"


@pytest.fixture
def machine(machine: "Machine", tmp_path: Path) -> "Machine":
    """A machine with a keyring that works, and a key in a file."""
    machine.set(
        PYTHONPATH=str(KEYRINGS),
        PYTHON_KEYRING_BACKEND="fake_keyring.Keyring",
        FAKE_KEYRING_FILE=str(tmp_path / "keyring.json"),
        KEYSTEAD_KEYRING_TIMEOUT="30",
    )
    (tmp_path / "key").write_text("correct-horse-battery-staple")
    (tmp_path / "key").chmod(0o600)
    return machine


def opened(machine: "Machine") -> RecordStore:
    return open_store(machine.surroundings.environment, machine.surroundings.clock)


def use(machine: "Machine", tmp_path: Path, backend: str, *more: str) -> None:
    """Move to ``backend``, and look from there on through the store that is chosen."""
    key = ("--key", f"file:{tmp_path}/key") if backend == "sealed" else ()
    outcome = machine.run("store", "use", backend, *key, *more)
    assert outcome.code == 0, outcome
    machine.change(store=opened(machine))


def test_the_default_is_said_to_be_one(machine: "Machine") -> None:
    """And looking writes nothing."""
    outcome = machine.run("store", "status", "--json")

    document = json.loads(outcome.out)
    assert (document["schema"], document["backend"], document["chosen"]) == ("keystead.store/1", "file", False)
    assert document["logins"] == []
    assert not machine.surroundings.environment.state_dir.exists()


@pytest.mark.requirement("R-08 choice")
def test_sign_ins_move_with_the_choice_and_back(machine: "Machine", login: Login, tmp_path: Path) -> None:
    """Every profile, from each backend to each other; nothing secret stays behind, no other store is asked."""
    directory = machine.surroundings.environment.state_dir
    saved = machine.surroundings.store.save(login)
    other = machine.surroundings.store.at("work").save(replace(login, kind=LoginKind.ACCOUNT))
    for backend in ("keyring", "sealed", "file", "sealed", "keyring", "file"):
        use(machine, tmp_path, backend)

        assert opened(machine).load(LoginKind.GATEWAY) == saved
        assert opened(machine).at("work").load(LoginKind.ACCOUNT) == other
        everything = [file.name for file in directory.iterdir() if b"canary-old" in file.read_bytes()]
        assert everything == (["credentials.json"] if backend == "file" else [])
        assert ("canary-old" in (tmp_path / "keyring.json").read_text()) is (backend == "keyring")
        shown = machine.run("store", "status").out
        assert {"file": "only you can read", "keyring": "system's keyring", "sealed": "encrypted"}[backend] in shown
        assert "old@example.com" in shown
        assert machine.run("store", "fsck").code == 0


@pytest.mark.requirement("R-06 silent")
def test_status_asks_no_keyring(machine: "Machine", login: Login, tmp_path: Path) -> None:
    """A question would be a prompt on the person's screen; who is signed in is known without."""
    machine.surroundings.store.save(login)
    use(machine, tmp_path, "keyring")
    machine.set(FAKE_KEYRING="fail")
    machine.change(store=opened(machine))

    for command in ("status", "whoami", "explain"):
        outcome = machine.run(command)
        assert outcome.code == 0
        assert "old@example.com" in outcome.out or command == "explain"
    assert machine.run("token").code == 78


@pytest.mark.requirement("R-08 choice")
@pytest.mark.parametrize("way", ["hang", "locked", "drop", "truncate"])
def test_a_keyring_that_cannot_be_used_is_not_chosen(machine: "Machine", login: Login, way: str) -> None:
    """The sign-ins are where they were, and the choice is what it was."""
    saved = machine.surroundings.store.save(replace(login, issuer="https://" + "x" * 3000))
    machine.set(FAKE_KEYRING=way, KEYSTEAD_KEYRING_TIMEOUT="0.5" if way == "hang" else "30")

    outcome = machine.run("store", "use", "keyring")

    assert outcome.code == 78
    assert "fix:" in outcome.err
    assert not (machine.surroundings.environment.state_dir / "store.json").exists()
    assert opened(machine).load(LoginKind.GATEWAY) == saved


def test_login_with_a_keyring_that_keeps_nothing_fails_and_gives_the_grant_back(
    machine: "Machine", login: Login, tmp_path: Path
) -> None:
    """Exit 78 with a fix, and the sign-in before stays (R-08)."""
    machine.surroundings.store.save(login)
    use(machine, tmp_path, "keyring")
    machine.set(FAKE_KEYRING="drop")
    machine.change(store=opened(machine))

    outcome = machine.run("login", "--server", login.issuer, "--device")

    assert outcome.code == 78
    assert "keystead store use file" in outcome.err
    assert "canary-new-refresh" in machine.issuer.revoked
    machine.set(FAKE_KEYRING="")
    assert opened(machine).load(LoginKind.GATEWAY) is not None


@pytest.mark.requirement("R-08 choice")
@pytest.mark.parametrize(("way", "expected"), [("", "keyring"), ("locked", "file")])
def test_the_first_sign_in_on_macos_chooses_and_says_where(machine: "Machine", way: str, expected: str) -> None:
    """The keychain where it answers; what was chosen then is remembered, whatever answers later."""
    machine.environment(platform="darwin")
    machine.set(FAKE_KEYRING=way)
    machine.change(store=opened(machine))

    signed_in = json.loads(machine.run("login", "--server", BASE, "--device", "--json").out.splitlines()[-1])

    assert ("keyring" if expected == "keyring" else "credentials.json") in signed_in["store"]
    machine.set(FAKE_KEYRING="")
    document = json.loads(machine.run("store", "status", "--json").out)
    assert (document["backend"], document["chosen"], len(document["logins"])) == (expected, True, 1)


def test_what_cannot_be_read_is_left_on_request(machine: "Machine", login: Login, tmp_path: Path) -> None:
    """A keyring that is gone for good must not hold the person up; without --leave nothing is left silently."""
    machine.surroundings.store.save(login)
    use(machine, tmp_path, "keyring")
    machine.set(FAKE_KEYRING="locked")

    assert machine.run("store", "use", "file").code == 78
    assert json.loads(machine.run("store", "use", "file", "--leave", "--json").out)["moved"] == 0
    assert opened(machine).load(LoginKind.GATEWAY) is None


def test_a_choice_that_is_damaged_stops_reading_and_can_be_made_again(machine: "Machine", login: Login) -> None:
    """Every command says what to do; saying it again finds the sign-ins where they were."""
    directory = machine.surroundings.environment.state_dir
    saved = machine.surroundings.store.save(login)
    (directory / "store.json").write_text("{")
    (directory / "store.json").chmod(0o600)
    machine.change(store=opened(machine))

    for command in (("token",), ("status",), ("store", "status"), ("store", "fsck")):
        outcome = machine.run(*command)
        assert outcome.code == 78
        assert "store use" in outcome.out + outcome.err

    assert machine.run("store", "use", "file").code == 0
    assert opened(machine).load(LoginKind.GATEWAY) == saved


@pytest.mark.parametrize(
    "arguments",
    [("use", "file", "--key", "file:/key"), ("use", "sealed", "--key", "correct-horse"), ("use", "tape"), ("nothing",)],
)
def test_nonsense_changes_nothing(machine: "Machine", arguments: tuple[str, ...]) -> None:
    """And a key itself is never taken from the command line, nor shown."""
    outcome = machine.run("store", *arguments)

    assert outcome.code in {2, 78}
    assert "correct-horse" not in outcome.err
    assert not machine.surroundings.environment.state_dir.exists()


def test_a_passphrase_needs_somebody_to_type_it(machine: "Machine") -> None:
    """Without a terminal the key's place must be named."""
    machine.environment(stdin_tty=False)

    outcome = machine.run("store", "use", "sealed")

    assert outcome.code == 78
    assert "--key" in outcome.err


def test_a_passphrase_is_typed_twice_and_then_asked_for_when_needed(
    machine: "Machine", login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status needs none; the token does."""
    saved = machine.surroundings.store.save(login)
    typed = ["one thing", "another"]
    monkeypatch.setattr("getpass.getpass", lambda question: typed.pop(0))
    assert machine.run("store", "use", "sealed").code == 2

    typed[:] = ["correct horse", "correct horse"]
    assert machine.run("store", "use", "sealed").code == 0
    machine.change(store=opened(machine))
    assert machine.run("status").code == 0

    typed[:] = ["correct horse"]
    assert machine.run("token").out == f"{saved.tokens.access_token.reveal()}\n"
    assert typed == []


@pytest.mark.requirement("R-02 undo")
def test_undo_puts_a_login_in_force_that_its_server_ended(machine: "Machine", login: Login) -> None:
    """Nothing of it was lost."""
    machine.surroundings.store.save(replace(login, retired_at=1.0))
    assert machine.run("token").code == 4

    outcome = machine.run("store", "undo", "--json")

    assert json.loads(outcome.out)["restored"][0]["account"] == login.account.id
    assert machine.run("token").out == "canary-old-access\n"
    assert machine.run("store", "undo").code == 4


@pytest.mark.requirement("R-02 undo")
def test_undo_goes_back_to_whoever_was_signed_in_before(machine: "Machine", login: Login) -> None:
    """And forth again; people read that only the server knows whether it is accepted."""
    machine.surroundings.store.save(login)
    machine.surroundings.store.save(replace(login, account=Account("per_9", "eve@example.com")))

    assert "old@example.com" in machine.run("store", "undo").out
    outcome = machine.run("store", "undo", "--method", "gateway")
    assert "eve@example.com" in outcome.out
    assert "server can say" in outcome.out


def test_undo_restores_nothing_that_login_revoked(machine: "Machine", login: Login) -> None:
    """It would only look like a sign-in; one that could not be revoked stays restorable."""
    machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/revoke", json_response(503, {}))
    assert machine.run("login", "--server", login.issuer, "--device").code == 0
    assert "old@example.com" in machine.run("store", "undo").out

    machine.issuer.answer("POST /oauth/revoke", json_response(200, {}))
    assert machine.run("login", "--server", login.issuer, "--device").code == 0
    assert "old@example.com" not in machine.run("store", "undo").out


@pytest.mark.requirement("R-18 fsck")
def test_fsck_names_the_fix_and_repairs_what_loses_nothing(machine: "Machine", login: Login) -> None:
    """Open modes, a damaged file with a generation before it, and the file of a writer that was killed."""
    directory = machine.surroundings.environment.state_dir
    machine.surroundings.store.save(login)
    saved = machine.surroundings.store.save(login)
    path = directory / "credentials.json"
    path.write_bytes(path.read_bytes()[:-30])
    (directory / ".credentials.json.00.tmp").touch(0o600)
    (directory / "approvals.json").touch()
    (directory / "approvals.json").chmod(0o644)

    found = machine.run("store", "fsck", "--json")
    assert found.code == 78
    assert [finding["repairable"] for finding in json.loads(found.out)["findings"]] == [True, True, True]
    assert "fsck --fix" in machine.run("store", "fsck").out

    assert machine.run("store", "fsck", "--fix").code == 0
    assert machine.run("store", "fsck").out == "Result  Nothing is wrong.\n"
    kept = opened(machine).load(LoginKind.GATEWAY)
    assert kept is not None
    assert kept.tokens == saved.tokens
    assert (directory / "approvals.json").stat().st_mode & 0o777 == 0o600
    assert len(list(directory.glob("credentials.damaged-*.json"))) == 1


@pytest.mark.requirement("R-18 fsck")
def test_fsck_repairs_nothing_that_a_person_must_decide(machine: "Machine", login: Login, tmp_path: Path) -> None:
    """Damage without a generation before it, a newer version's file, sign-ins that an earlier choice left behind."""
    directory = machine.surroundings.environment.state_dir
    machine.surroundings.store.save(login)
    path = directory / "credentials.json"
    whole = path.read_bytes()
    for content, word in ((b"{", "damaged"), (whole.replace(b"credentials/1", b"credentials/2"), "newer version")):
        path.write_bytes(content)
        outcome = machine.run("store", "fsck", "--fix")
        assert outcome.code == 78
        assert word in outcome.out
        assert path.read_bytes() == content

    path.write_bytes(whole)
    use(machine, tmp_path, "sealed")
    path.write_bytes(whole)
    path.chmod(0o600)
    outcome = machine.run("store", "fsck", "--fix")
    assert "not used" in outcome.out
    assert path.read_bytes() == whole


def test_a_newer_versions_file_is_not_overwritten(machine: "Machine", login: Login) -> None:
    """Signing in with an old version must not undo what a new one keeps."""
    machine.surroundings.store.save(login)
    path = machine.surroundings.environment.state_dir / "credentials.json"
    newer = path.read_bytes().replace(b"credentials/1", b"credentials/2")
    path.write_bytes(newer)

    outcome = machine.run("login", "--server", login.issuer, "--device")

    assert outcome.code == 78
    assert "Upgrade" in outcome.err
    assert path.read_bytes() == newer


@pytest.mark.requirement("R-25 orphans")
def test_gc_lists_what_no_store_uses_and_removes_it_on_request(
    machine: "Machine", login: Login, tmp_path: Path
) -> None:
    """Damaged copies, and the items of a state directory that is gone; a directory in use keeps its own."""
    elsewhere = tmp_path / "gone"
    machine.set(KEYSTEAD_CONFIG_DIR=str(elsewhere))
    use(machine, tmp_path, "keyring")
    opened(machine).save(login)
    for file in elsewhere.iterdir():
        file.unlink()
    machine.set(KEYSTEAD_CONFIG_DIR="")
    machine.change(store=opened(machine))
    machine.surroundings.store.save(login)
    use(machine, tmp_path, "keyring")
    saved = opened(machine).save(login)
    damaged = machine.surroundings.environment.state_dir / "credentials.damaged-1.json"
    damaged.touch()

    listed = machine.run("store", "gc")
    assert str(damaged) in listed.out
    assert str(elsewhere) in listed.out
    assert "--remove" in listed.out
    removed = json.loads(machine.run("store", "gc", "--remove", "--json").out)
    assert [orphan["removed"] for orphan in removed["orphans"]] == [True, True]

    assert machine.run("store", "gc").out == "Result  Nothing is left over.\n"
    assert opened(machine).load(LoginKind.GATEWAY) == saved
