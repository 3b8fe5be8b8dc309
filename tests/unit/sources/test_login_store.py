"""The store that was chosen, opened."""

from dataclasses import replace
from pathlib import Path

import pytest

from keystead.credentials import LoginKind
from keystead.environment import Environment
from keystead.errors import ConfigurationError, KeysteadError, StoreBusy, UnreadableFile
from keystead.sources.login_store import key_from, keyring_of, open_store, store_of
from keystead.stores import choice, health
from keystead.stores.choice import Backend, Choice
from keystead.stores.files import Files
from keystead.stores.kept import RecordStore
from keystead.stores.moving import move
from keystead.testing.clock import FakeClock
from keystead.testing.environment import bare_environment
from keystead.testing.store_contract import sample_login

KIND = LoginKind.GATEWAY


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "key").write_text("correct-horse-battery")
    (tmp_path / "key").chmod(0o600)
    return bare_environment(tmp_path)


def sealed(environment: Environment) -> tuple[Choice, RecordStore]:
    """Return an encrypted file that could be chosen."""
    chosen = Choice(Backend.SEALED, "id", f"file:{environment.home.parent}/key")
    return chosen, store_of(chosen, environment, FakeClock(), new=True)


def test_opening_reads_the_choice_and_nothing_else(environment: Environment) -> None:
    """And writes nothing."""
    open_store(environment, FakeClock())

    assert not environment.state_dir.exists()


def test_a_choice_that_cannot_be_followed_is_an_error_at_the_first_use(environment: Environment) -> None:
    """Not at the start, or no command could repair it."""
    environment.state_dir.mkdir(mode=0o700)
    (environment.state_dir / "store.json").write_text("{")
    (environment.state_dir / "store.json").chmod(0o600)
    store = open_store(environment, FakeClock())

    assert store.location.endswith("store.json")
    for use in (store.load, store.peek):
        with pytest.raises(UnreadableFile, match="not known where"):
            use(KIND)
    with pytest.raises(UnreadableFile):
        store.save(sample_login())


@pytest.mark.requirement("R-08 choice")
def test_a_process_that_opened_the_old_store_does_not_write_there_after_a_move(environment: Environment) -> None:
    """Its login would be left behind; it is told to try again."""
    late = open_store(environment, FakeClock())
    saved = late.save(sample_login())
    chosen, target = sealed(environment)
    move(open_store(environment, FakeClock()), target, lambda: choice.write(environment.state_dir, chosen, Files()))

    with pytest.raises(StoreBusy, match=r"moved to another store \(sealed\)"):
        late.save(saved)

    assert open_store(environment, FakeClock()).load(KIND) == saved
    assert not (environment.state_dir / "credentials.json").exists()


@pytest.mark.requirement("R-08 choice")
def test_a_move_that_stops_before_it_is_remembered_leaves_everything_where_it_was(environment: Environment) -> None:
    """Ctrl-C, say: the old store is in force and whole, and the copy is named to whoever looks."""
    source = open_store(environment, FakeClock())
    saved = source.save(sample_login())
    _, target = sealed(environment)

    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(source, target, stopped)

    assert open_store(environment, FakeClock()).load(KIND) == saved
    (finding,) = health.examine(environment.state_dir, source, "linux")
    assert "credentials.sealed.json holds sign-ins that are not used" in finding.what
    assert move(source, target, lambda: None) == 1
    assert target.load(KIND) == saved


def test_a_move_to_a_place_that_does_not_keep_it_is_taken_back(environment: Environment) -> None:
    """Nothing is left at the target, and the old store is in force."""
    source = open_store(environment, FakeClock())
    saved = source.save(sample_login())
    chosen, _ = sealed(environment)
    (environment.home.parent / "key").write_text("")
    target = store_of(chosen, environment, FakeClock(), new=True)

    with pytest.raises(KeysteadError):
        move(source, target, lambda: None)

    assert source.load(KIND) == saved
    assert not list(environment.state_dir.glob("*sealed*"))


def test_a_move_keeps_what_an_earlier_choice_left_behind(environment: Environment) -> None:
    """It is set aside, not overwritten."""
    _, target = sealed(environment)
    left = target.save(sample_login(access_token="left"))
    source = open_store(environment, FakeClock())
    saved = source.save(replace(sample_login(), issuer="https://other.example"))

    assert move(source, target, lambda: None) == 1

    assert target.load(KIND) == saved != left
    assert len(list(environment.state_dir.glob("credentials.sealed.damaged-*.json"))) == 1


@pytest.mark.parametrize("text", ["soon", "0", "-1", "1e9", "nan"])
def test_the_deadline_of_the_keyring_is_a_bounded_number(environment: Environment, text: str) -> None:
    """Anything else is named rather than guessed."""
    with pytest.raises(ConfigurationError, match="KEYSTEAD_KEYRING_TIMEOUT"):
        keyring_of(replace(environment, variables={"KEYSTEAD_KEYRING_TIMEOUT": text}))


@pytest.mark.parametrize("reference", ["correct-horse-battery", "", "file:", "file:/nowhere", "env:UNSET"])
def test_a_key_is_named_and_never_given(environment: Environment, reference: str) -> None:
    """A key on a command line is in everybody's process list (R-17)."""
    with pytest.raises(KeysteadError) as caught:
        key_from(reference, environment, FakeClock())

    assert caught.value.exit_code == 78
    assert "correct-horse" not in caught.value.message
