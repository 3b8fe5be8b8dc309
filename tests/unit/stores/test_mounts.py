"""State directories as containers have them: mounted files, layers, memory, read-only, links (R-14).

Each mount is real, made in a mount namespace of its own by ``unshare``, which needs no privilege where it is allowed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.credentials import LoginKind
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import sample_login

SAVE = """
import sys
from pathlib import Path
from keystead.credentials import LoginKind
from keystead.errors import KeysteadError
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import sample_login

store = FileStore(Path(sys.argv[1]), FakeClock())
before = store.load(LoginKind.GATEWAY)
try:
    with store.lock(LoginKind.GATEWAY, 0):
        saved = store.save(sample_login(access_token="new"))
except KeysteadError as error:
    print(type(error).__name__)
    saved = before
again = FileStore(Path(sys.argv[1]), FakeClock()).load(LoginKind.GATEWAY)
assert again == saved and again is not None, again
print(again.tokens.access_token.reveal())
"""


def allowed() -> bool:
    """Whether this machine lets a test have mounts of its own."""
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


needs_mounts = pytest.mark.skipif(not allowed(), reason="mounts of one's own are not allowed here")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with a login in it."""
    FileStore(tmp_path / "state", FakeClock()).save(sample_login(access_token="old"))
    return tmp_path / "state"


def after(mount: str, state: Path) -> list[str]:
    """Make the mount, save into the directory, and return what the program said."""
    script = f'cd "$(dirname "$1")" && {mount} && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-ec", script, "sh", str(state), sys.executable, SAVE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_mounts
@pytest.mark.requirement("R-14 mounts")
def test_a_mounted_single_file_is_written_through(state: Path) -> None:
    """It cannot be renamed over; its other name sees the new login too."""
    shutil.copy(state / "credentials.json", state.parent / "volume.json")

    assert after("mount --bind volume.json state/credentials.json", state) == ["new"]

    assert '"new"' in (state.parent / "volume.json").read_text()
    assert not list(state.glob(".*.tmp"))


@needs_mounts
@pytest.mark.requirement("R-14 mounts")
@pytest.mark.parametrize(
    "mount",
    [
        "mount -t tmpfs -o mode=700 none state && cp -p copy/* state/",
        "mkdir upper work && mount -t overlay -o lowerdir=copy,upperdir=upper,workdir=work none state",
        "mount --bind copy state",
    ],
    ids=["memory", "layers", "volume"],
)
def test_any_file_system_takes_a_login(state: Path, mount: str) -> None:
    """Rename and locks work there; the login is the new one."""
    shutil.copytree(state, state.parent / "copy")
    (state.parent / "copy").chmod(0o700)

    assert after(mount, state) == ["new"]


@needs_mounts
@pytest.mark.requirement("R-14 read-only")
def test_a_read_only_directory_is_read_and_never_half_written(state: Path) -> None:
    """Saving is an error that says so; the old login is still there, whole."""
    before = {file.name: file.read_bytes() for file in state.iterdir()}

    assert after("mount --bind state state && mount -o remount,bind,ro state", state) == ["StoreUnavailable", "old"]

    assert {file.name: file.read_bytes() for file in state.iterdir()} == before


@needs_mounts
@pytest.mark.requirement("R-14 read-only")
def test_a_read_only_single_file_is_never_half_written(state: Path) -> None:
    """The directory can be written, the file cannot: what it holds stays as it is."""
    shutil.copy(state / "credentials.json", state.parent / "volume.json")
    mount = "mount --bind volume.json state/credentials.json && mount -o remount,bind,ro state/credentials.json"

    assert after(mount, state) == ["StoreUnavailable", "old"]

    assert '"old"' in (state.parent / "volume.json").read_text()


@pytest.mark.requirement("R-14 links")
def test_a_linked_file_and_a_linked_directory_keep_their_links(state: Path) -> None:
    """The target is rewritten, by whichever name it is reached."""
    target = state.rename(state.with_name("elsewhere"))
    state.symlink_to(target, target_is_directory=True)
    (target / "credentials.json").rename(target / "secret.json")
    (target / "credentials.json").symlink_to("secret.json")

    saved = FileStore(state, FakeClock()).save(sample_login(access_token="new"))

    assert state.is_symlink()
    assert (target / "credentials.json").is_symlink()
    assert '"new"' in (target / "secret.json").read_text()
    assert FileStore(target, FakeClock()).load(LoginKind.GATEWAY) == saved
