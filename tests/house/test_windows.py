"""What can be known of Windows without one: the client loads and decides without anything that only POSIX has.

The modules run in a process that looks like Windows to them: ``sys.platform`` says so, POSIX modules cannot be
imported, and the functions and constants that Windows lacks are gone. What they stand on was loaded before.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIKE_WINDOWS = """
import fcntl, importlib, os, pathlib, signal, sys, types
import keystead

def load():
    root = pathlib.Path(keystead.__file__).parent
    files = [file.relative_to(root.parent).with_suffix("") for file in sorted(root.rglob("*.py"))]
    names = [".".join(file.parts).removesuffix(".__init__") for file in files if "server" not in file.parts]
    for name in names:
        importlib.import_module(name)
    return names

load()  # the standard library and what we depend on, as this platform has them
for name in [name for name in sys.modules if name.partition(".")[0] == "keystead"]:
    del sys.modules[name]
for name in ("fcntl", "termios", "pty", "tty", "pwd", "grp", "resource", "readline", "posix", "syslog"):
    sys.modules[name] = None
gone = ("getuid", "geteuid", "getgid", "getegid", "fork", "killpg", "setsid", "getpgid", "fchmod", "chown", "uname",
        "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "WNOHANG", "set_blocking", "mkfifo", "ttyname")
for name in gone:
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGWINCH", "SIGQUIT", "SIGTSTP", "SIGCHLD", "SIGALRM", "SIGUSR1", "SIGSTOP"):
    delattr(signal, name)

def locking(descriptor, mode, length):
    assert (mode, length) == (2, 1)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

os.O_BINARY = 0
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
sys.platform = "win32"
import keystead
"""

EVERY_MODULE = """
names = load()
assert len(names) > 150, len(names)
assert {"keystead.stores.locks", "keystead.drivers.terminal", "keystead.session.reader"} <= set(names)
"""

ONE_HOLDER = """
from pathlib import Path
from keystead.errors import StoreBusy
from keystead.stores.locks import locked
from keystead.testing.clock import FakeClock
path = Path(sys.argv[1]) / "lock"
with locked(path, 0, FakeClock()):
    try:
        with locked(path, 1, FakeClock()):
            raise SystemExit("two holders")
    except StoreBusy:
        pass
with locked(path, 0, FakeClock()):
    print("held again")
"""

A_SIGN_IN = """
from pathlib import Path
from keystead.credentials import LoginKind
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import sample_login
store = FileStore(Path(sys.argv[1]) / "state", FakeClock())
with store.lock(LoginKind.GATEWAY, 0):
    saved = store.save(sample_login())
assert store.load(LoginKind.GATEWAY) == saved
from keystead.cli import main
os.environ.update(HOME=sys.argv[1], KEYSTEAD_CONFIG_DIR=sys.argv[1] + "/other", KEYSTEAD_API_KEY="file:~/key")
(Path(sys.argv[1]) / "key").write_text("the-key")  # mode 0644: modes say nothing there
os.environ["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"  # where nobody listens
codes = {}
for line in ("token", "status", "explain", "whoami", "doctor", "store status", "store fsck", "accounts list",
             "trust --list", "expect --list", "logout", "-p hello"):
    sys.argv = ["keystead", *line.split()]
    try:
        main()
    except SystemExit as end:
        codes[line] = end.code or 0
print(codes)
"""

A_REGISTRY = r"""
import contextlib
USER, MACHINE = 1, 2
KEPT = {
    (USER, "Environment"): [("PATH", "x", 1), ("ANTHROPIC_API_KEY", "canary-of-the-user", 1)],
    (MACHINE, r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment"): OSError("access is denied"),
}

@contextlib.contextmanager
def open_key(root, key):
    if isinstance(KEPT[root, key], OSError):
        raise KEPT[root, key]
    yield KEPT[root, key]

sys.modules["winreg"] = types.SimpleNamespace(
    HKEY_CURRENT_USER=USER, HKEY_LOCAL_MACHINE=MACHINE, OpenKey=open_key,
    QueryInfoKey=lambda opened: (0, len(opened), 0), EnumValue=lambda opened, index: opened[index])
from keystead.cli import main
sys.argv = ["keystead", "doctor", "--only", "variables"]
main()
"""


def like_windows(code: str, tmp_path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIKE_WINDOWS + code, str(tmp_path)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_of_the_client_loads(tmp_path: Path) -> None:
    assert like_windows(EVERY_MODULE, tmp_path) == ""


@pytest.mark.requirement("R-01 windows")
def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    assert like_windows(ONE_HOLDER, tmp_path) == "held again\n"


def test_a_sign_in_is_kept_and_a_key_is_found(tmp_path: Path) -> None:
    """And every command that looks at the machine ends as it does elsewhere."""
    first, *_, codes = like_windows(A_SIGN_IN, tmp_path).splitlines()
    assert first == "the-key"
    assert {line: code for line, code in ast.literal_eval(codes).items() if code} == {"logout": 4, "-p hello": 75}


@pytest.mark.requirement("R-28 registry")
def test_the_registry_is_looked_through_by_name(tmp_path: Path) -> None:
    said = " ".join(like_windows(A_REGISTRY, tmp_path).split())
    assert "ANTHROPIC_API_KEY is set for every program of Windows, though not in this process" in said
    assert "SetEnvironmentVariable('ANTHROPIC_API_KEY', $null, 'User')" in said
    assert "canary" not in said
