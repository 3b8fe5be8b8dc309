"""The file store: modes, links, damage and death."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.credentials import LoginKind
from keystead.errors import StoreBusy, StoreUnavailable, UnreadableFile
from keystead.stores.file import FileStore
from keystead.stores.files import Files
from keystead.stores.locks import locked
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import sample_login


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(directory: Path) -> FileStore:
    return FileStore(directory, FakeClock())


def test_reading_writes_nothing(store: FileStore, directory: Path) -> None:
    """Status on a fresh machine leaves no trace."""
    store.load(LoginKind.GATEWAY)
    store.notes()

    assert not directory.exists()


def test_files_are_private_whatever_the_umask(store: FileStore, directory: Path) -> None:
    """0600 in 0700."""
    before = os.umask(0)
    try:
        store.save(sample_login())
        store.save(sample_login())
    finally:
        os.umask(before)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_open_to_others_is_refused_with_the_fix(store: FileStore, directory: Path, mode: int) -> None:
    """It may have been read or replaced already."""
    store.save(sample_login())
    path = directory / "credentials.json"
    path.chmod(mode)

    with pytest.raises(UnreadableFile, match=f"mode 0{mode:o}") as caught:
        store.load(LoginKind.GATEWAY)

    assert caught.value.hint == f"Run: chmod 600 {path}"


def test_a_directory_others_may_write_in_is_refused(store: FileStore, directory: Path) -> None:
    """Whoever can rename files there can replace them."""
    directory.mkdir()
    directory.chmod(0o777)

    with pytest.raises(UnreadableFile, match="Others may write") as caught:
        store.save(sample_login())

    assert caught.value.hint == f"Run: chmod 700 {directory}"


def test_a_symlink_stays_and_its_target_is_rewritten(store: FileStore, directory: Path, tmp_path: Path) -> None:
    """People keep such files in a place of their own (R-14)."""
    target = tmp_path / "elsewhere" / "secret.json"
    target.parent.mkdir()
    directory.mkdir(mode=0o700)
    (directory / "credentials.json").symlink_to(target)

    saved = store.save(sample_login())

    assert (directory / "credentials.json").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert store.load(LoginKind.GATEWAY) == saved


def test_something_that_is_not_a_file_does_not_hang(store: FileStore, directory: Path) -> None:
    """A pipe in its place is named instead of waited for."""
    directory.mkdir(mode=0o700)
    os.mkfifo(directory / "credentials.json", 0o600)

    with pytest.raises(UnreadableFile, match="not a regular file"):
        store.load(LoginKind.GATEWAY)


@pytest.mark.requirement("R-18 damage")
def test_a_damaged_file_gives_way_to_the_generation_before_it(store: FileStore, directory: Path) -> None:
    """Reading says so and changes nothing; the next write keeps the damaged file aside."""
    first = store.save(sample_login(access_token="one"))
    store.save(sample_login(access_token="two"))
    path = directory / "credentials.json"
    path.write_bytes(path.read_bytes()[:100])
    before = sorted(directory.iterdir())

    assert store.load(LoginKind.GATEWAY) == first
    assert "damaged" in store.notes()[0]
    assert sorted(directory.iterdir()) == before

    damaged = path.read_bytes()
    saved = store.save(sample_login(access_token="three"))
    assert store.load(LoginKind.GATEWAY) == saved
    assert store.notes() == ()
    assert [file.read_bytes() for file in directory.glob("credentials.damaged-*.json")] == [damaged]


def test_damage_without_a_generation_before_it_is_an_error_not_an_empty_store(
    store: FileStore, directory: Path
) -> None:
    """Nobody is logged out silently; a new sign-in works and keeps the damaged file."""
    directory.mkdir(mode=0o700)
    (directory / "credentials.json").write_bytes(b"{")
    (directory / "credentials.json").chmod(0o600)

    with pytest.raises(UnreadableFile, match="damaged"):
        store.load(LoginKind.GATEWAY)

    store.save(sample_login())
    assert store.load(LoginKind.GATEWAY) is not None
    assert len(list(directory.glob("credentials.damaged-*.json"))) == 1


@pytest.mark.requirement("R-16 leftovers")
def test_a_deleted_login_is_in_no_file(store: FileStore, directory: Path) -> None:
    """All generations and quarantined copies go; the other login stays (R-16)."""
    account = store.save(sample_login(LoginKind.ACCOUNT, access_token="keep-me"))
    store.save(sample_login(access_token="canary-one"))
    path = directory / "credentials.json"
    path.write_bytes(path.read_bytes() + b"x")
    store.save(sample_login(access_token="canary-two"))

    store.delete(LoginKind.GATEWAY)

    assert all(b"canary" not in file.read_bytes() for file in directory.iterdir())
    assert store.load(LoginKind.ACCOUNT) == account


@pytest.mark.requirement("R-25 identity")
def test_the_identity_of_the_store_is_written_once_and_moves_with_it(store: FileStore, directory: Path) -> None:
    """Random, not made from the path (R-25)."""
    store.save(sample_login())
    first = json.loads((directory / "credentials.json").read_text())["store_id"]
    moved = directory.rename(directory.with_name("moved"))
    FileStore(moved, FakeClock()).save(sample_login())

    assert json.loads((moved / "credentials.json").read_text())["store_id"] == first


class _Full(Files):
    def write(self, descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:10])
        raise OSError(28, "No space left on device")


@pytest.mark.requirement("R-02 faults")
def test_a_full_disk_changes_nothing(store: FileStore, directory: Path) -> None:
    """The old login stands, no partial file stays, and the message says why."""
    saved = store.save(sample_login())
    before = sorted(directory.iterdir())

    with pytest.raises(StoreUnavailable, match="no space left"):
        FileStore(directory, FakeClock(), _Full()).save(replace(saved, issuer="https://new.example"))

    assert store.load(LoginKind.GATEWAY) == saved
    assert sorted(directory.iterdir()) == before


class _MountPoint(Files):
    def replace(self, source: Path, target: Path) -> None:
        if target.name == "credentials.json":
            raise OSError(16, "Device or resource busy")
        super().replace(source, target)


def test_a_file_that_is_a_mount_point_is_written_in_place(directory: Path) -> None:
    """Containers mount single files, which cannot be renamed over (R-14)."""
    directory.mkdir(mode=0o700)
    (directory / "credentials.json").touch(0o600)
    store = FileStore(directory, FakeClock(), _MountPoint())

    assert store.load(LoginKind.GATEWAY) is None
    assert store.save(sample_login()) == store.load(LoginKind.GATEWAY)
    assert sorted(file.name for file in directory.glob("*.json")) == ["credentials.json"]


def test_waiting_for_another_writer_is_bounded(directory: Path) -> None:
    """The bound is time on the clock, and the error is temporary."""
    clock = FakeClock()
    path = directory / "gateway.lock"
    with locked(path, 0, clock), pytest.raises(StoreBusy, match="gateway"), locked(path, 7.5, clock):
        pass

    assert sum(clock.slept) == pytest.approx(7.5)


_DIE = """
import os, signal, sys
from pathlib import Path
from keystead.clock import SYSTEM_CLOCK
from keystead.stores.file import FileStore
from keystead.stores.files import Files
from keystead.testing.store_contract import sample_login

directory, fatal = Path(sys.argv[1]), int(sys.argv[2])
count = 0

def mortal(name):
    step = getattr(Files, name)
    def wrapped(self, *arguments):
        global count
        count += 1
        if count == fatal:
            if name == "write":
                os.write(arguments[0], arguments[1][:20])
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *arguments)
    return wrapped

steps = ("create", "write", "sync", "replace", "sync_directory")
Mortal = type("Mortal", (Files,), {name: mortal(name) for name in steps})
FileStore(directory, SYSTEM_CLOCK, Mortal()).save(sample_login(access_token="new"))
"""


@pytest.mark.requirement("R-02 killed")
@pytest.mark.parametrize("step", range(1, 12))
def test_a_writer_killed_at_any_step_leaves_the_old_login_or_the_new_one(
    store: FileStore, directory: Path, step: int
) -> None:
    """kill -9 before each of the ten steps of a write; the eleventh does not come. The next write cleans up."""
    store.save(sample_login(access_token="old"))

    died = subprocess.run([sys.executable, "-c", _DIE, str(directory), str(step)], check=False)

    assert died.returncode == (-9 if step <= 10 else 0)
    found = store.load(LoginKind.GATEWAY)
    assert found is not None
    assert found.tokens.access_token.reveal() == ("old" if step <= 9 else "new")
    assert store.notes() == ()
    store.save(found)
    assert list(directory.glob(".*.tmp")) == []
