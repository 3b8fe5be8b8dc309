"""The keyring store on a real Secret Service (gnome-keyring): what it keeps, and what it says when it cannot (R-08)."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from running import PROGRAM, fresh_variables
from secret_service import MISSING, SecretService, secret_service

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Account, Login, LoginKind
from keystead.drivers.keyring import KeyringProcess
from keystead.errors import StoreUnavailable
from keystead.sources import references
from keystead.stores.kept import RecordStore
from keystead.stores.keyring import KeyringPlace, registered
from keystead.testing.store_contract import sample_login

KIND = LoginKind.GATEWAY
PATIENT, SHORT = 30.0, 0.5

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed here: {', '.join(MISSING)}"),
    pytest.mark.requirement("R-08 secret service"),
]


@pytest.fixture
def session() -> Iterator[SecretService]:
    with secret_service() as one:
        yield one


def store(session: SecretService, directory: Path, deadline: float = PATIENT) -> RecordStore:
    place = KeyringPlace("id-1", directory, KeyringProcess(session.variables, deadline))
    return RecordStore(directory, place, SYSTEM_CLOCK)


def refused(session: SecretService, directory: Path, deadline: float = PATIENT) -> set[str]:
    """Ask for the sign-in and for a change of it; return what was said: never that there is none."""
    said = set()
    with pytest.raises(StoreUnavailable) as reading:
        store(session, directory, deadline).load(KIND)
    with pytest.raises(StoreUnavailable) as writing:
        store(session, directory, deadline).save(sample_login(access_token="new"))
    for failure in (reading.value, writing.value):
        assert "keystead store use file" in (failure.hint or "")
        said.add(failure.message)
    return said


def test_a_sign_in_is_kept_changed_and_deleted(session: SecretService, tmp_path: Path) -> None:
    """Also one of many kilobytes, which an item of this keyring takes whole, and after the keyring was started anew."""
    first = store(session, tmp_path).save(sample_login(access_token="canary-" + "x" * 20_000))
    assert store(session, tmp_path).load(KIND) == first
    assert all(b"canary" not in file.read_bytes() for file in tmp_path.iterdir())

    changed = replace(sample_login(access_token="canary-2"), account=Account("per_1", name="Ådä 🔑"))
    second = store(session, tmp_path).save(changed)
    session.stop()
    session.start()
    assert store(session, tmp_path).load(KIND) == second
    ask = KeyringProcess(session.variables, PATIENT)
    assert registered(ask) == {"id-1": str(tmp_path)}

    store(session, tmp_path).delete(KIND)
    assert store(session, tmp_path).load(KIND) is None
    assert not [name for name in ("current", "previous", "trial") if "canary" in str(ask([("get", f"id-1/{name}")]))]


def test_a_locked_keyring_is_unavailable_and_loses_nothing(session: SecretService, tmp_path: Path) -> None:
    """At once where nothing can ask for its password, at the deadline where nobody answers; then it is all there."""
    kept: Login = store(session, tmp_path).save(sample_login(access_token="old"))
    session.lock()
    assert refused(session, tmp_path) == {"The system keyring cannot be used: it is locked."}

    session.nobody_answers_prompts()
    assert refused(session, tmp_path, SHORT) == {"The system keyring did not answer within 0.5 s."}

    session.stop()
    session.start(b"a wrong password")
    assert len(refused(session, tmp_path, SHORT)) == 1
    session.stop()
    session.start()
    assert store(session, tmp_path).load(KIND) == kept


def test_a_keyring_that_stopped_or_is_gone_is_unavailable(session: SecretService, tmp_path: Path) -> None:
    store(session, tmp_path).save(sample_login())
    os.kill(session.keyring.pid, signal.SIGSTOP)
    assert refused(session, tmp_path, SHORT) == {"The system keyring did not answer within 0.5 s."}

    session.stop()
    assert refused(session, tmp_path) == {"The system keyring cannot be used: this session has no keyring."}
    session.bus.kill()
    session.bus.wait()
    assert refused(session, tmp_path) == {"The system keyring cannot be used: this session has no keyring."}


def test_the_program_keeps_sign_ins_and_finds_a_key_there(session: SecretService, tmp_path: Path) -> None:
    """Chosen by a person; and a reference names an item that another program put there."""
    variables = fresh_variables(tmp_path, **session.variables) | {"HOME": str(tmp_path)}
    moved = subprocess.run(
        [PROGRAM, "store", "use", "keyring"], env=variables, capture_output=True, text=True, check=False
    )
    assert moved.returncode == 0, moved.stderr
    KeyringProcess(session.variables, PATIENT)([("set", "work", "the-key")])
    place = references.Place(session.variables, tmp_path, tmp_path, SYSTEM_CLOCK)
    assert references.resolve("keyring:keystead/work", "KEYSTEAD_API_KEY", place).reveal() == "the-key"
