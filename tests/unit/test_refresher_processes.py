"""Many processes, killed processes and every fault of a network: one renewal, and no login lost on the way."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from token_endpoint import TokenEndpoint, running

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Freshness, LoginKind
from keystead.drivers.transport import HttpTransport
from keystead.errors import CredentialRejected, KeysteadError, RateLimited, TemporaryFailure
from keystead.refresher import Refresher
from keystead.stores.backoff import Backoff
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import sample_login

KIND = LoginKind.GATEWAY


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with running() as endpoint:
        yield endpoint


@pytest.fixture
def directory(endpoint: TokenEndpoint, tmp_path: Path) -> Path:
    """A state directory with a login that has expired."""
    _expired(tmp_path / "state", endpoint.url)
    return tmp_path / "state"


def _expired(directory: Path, url: str) -> None:
    login = sample_login(access_token="old")
    tokens = replace(login.tokens, issued_at=SYSTEM_CLOCK.now() - 9000)
    FileStore(directory, SYSTEM_CLOCK).save(
        replace(login, issuer=url, token_endpoint=f"{url}/oauth/token", tokens=tokens, generation=0)
    )


_CROWD = """
import json, os, sys
from pathlib import Path
import httpx2
from keystead.clock import SYSTEM_CLOCK
from keystead.client import _network
from keystead.credentials import LoginKind
from keystead.drivers import conversation
from keystead.errors import KeysteadError
from keystead.flows import refresh
from keystead.refresher import Refresher
from keystead.stores import record
from keystead.stores.backoff import Backoff
from keystead.stores.file import FileStore

directory, count, rejected = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
gate, opener = os.pipe()
for _ in range(count):
    if os.fork() == 0:
        os.close(opener)
        os.read(gate, 1)
        refresher = Refresher(FileStore(directory, SYSTEM_CLOCK), _network, SYSTEM_CLOCK,
                              backoff=lambda: Backoff(directory, SYSTEM_CLOCK))
        try:
            said = refresher.fresh(LoginKind.GATEWAY, rejected=rejected).tokens.access_token.reveal()
        except KeysteadError as error:
            said = error.code
        os.write(1, f"{said}\\n".encode())
        os._exit(0)
os.close(opener)
os.close(gate)
for _ in range(count):
    os.wait()
"""


def crowd(directory: Path, count: int, *, rejected: int | None = None) -> list[str]:
    """Return what each of so many processes got that all asked at once."""
    done = subprocess.run(
        [sys.executable, "-c", _CROWD, str(directory), str(count), json.dumps(rejected)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.requirement("R-01 fifty")
def test_fifty_processes_cause_one_renewal(endpoint: TokenEndpoint, directory: Path) -> None:
    """All wait at a gate with an expired token, and all leave with the same new one."""
    assert crowd(directory, 50) == ["renewed-1"] * 50
    assert endpoint.calls == 1
    stored = FileStore(directory, SYSTEM_CLOCK).load(KIND)
    assert stored is not None
    assert stored.generation == 2


@pytest.mark.requirement("R-09 one renewal")
def test_a_server_that_always_says_401_gets_one_renewal(endpoint: TokenEndpoint, directory: Path) -> None:
    """Twenty processes were refused the first generation, twenty more the second, which was renewed just now."""
    store = FileStore(directory, SYSTEM_CLOCK)
    login = store.load(KIND)
    assert login is not None
    current = store.save(replace(login, tokens=replace(login.tokens, issued_at=SYSTEM_CLOCK.now())))

    assert crowd(directory, 20, rejected=current.generation) == ["renewed-1"] * 20
    assert crowd(directory, 20, rejected=current.generation + 1) == ["credential_rejected"] * 20
    assert endpoint.calls == 1
    assert crowd(directory, 1) == ["renewed-1"]


@pytest.mark.requirement("R-20 pause")
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_to_wait_is_left_alone_by_everybody(
    endpoint: TokenEndpoint, directory: Path, status: int
) -> None:
    """One of thirty processes hears it, and the others keep it; afterwards all goes on by itself."""
    endpoint.answer = (status, "application/json", b"{}")
    endpoint.headers = {"retry-after": "600"}

    said = crowd(directory, 30)

    assert endpoint.calls == 1
    assert set(said) <= {"rate_limited", "server_failure"}
    backoff = Backoff(directory, SYSTEM_CLOCK)
    with pytest.raises(RateLimited, match="asked to wait") as caught:
        Refresher(FileStore(directory, SYSTEM_CLOCK), HttpTransport, SYSTEM_CLOCK, backoff=lambda: backoff).fresh(KIND)
    assert caught.value.retry_after is not None
    assert 500 < caught.value.retry_after <= 610
    assert " UTC" in (caught.value.hint or "")

    endpoint.answer = None
    (directory / "backoff.json").unlink()
    assert crowd(directory, 2) == ["renewed-1"] * 2


@pytest.mark.requirement("R-20 pause")
def test_a_token_that_still_works_is_used_during_a_pause(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """Nobody is told, for nobody is held up; when the pause is over the renewal happens, and ends the counting."""
    clock = FakeClock()
    store, backoff = FileStore(tmp_path / "state", clock), Backoff(tmp_path / "state", clock, chance=lambda: 0.0)
    login = sample_login(access_token="old")
    tokens = replace(login.tokens, issued_at=clock.now() - 3400)
    store.save(replace(login, token_endpoint=f"{endpoint.url}/oauth/token", tokens=tokens))
    refresher = Refresher(store, HttpTransport, clock, backoff=lambda: backoff)
    endpoint.answer = (429, "application/json", b"{}")
    endpoint.headers = {"retry-after": "90"}

    for _ in range(5):
        assert refresher.fresh(KIND).tokens.access_token.reveal() == "old"
    assert endpoint.calls == 1

    endpoint.answer = None
    clock.advance(91)
    assert refresher.fresh(KIND).tokens.access_token.reveal() == "renewed-1"
    assert backoff.pause(f"{endpoint.url}/oauth/token") is None
    assert json.loads((tmp_path / "state/backoff.json").read_bytes())["endpoints"] == {}


_MORTAL = """
import os, signal, sys
from pathlib import Path
import httpx2
from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import LoginKind
from keystead.drivers.transport import HttpTransport
from keystead.refresher import Refresher
from keystead.stores import locks, record
from keystead.stores.backoff import Backoff
from keystead.stores.file import FileStore
from keystead.stores.files import Files

root, last = Path(sys.argv[1]), int(sys.argv[2])
count = fatal = 0

def mortal(step, before=lambda *arguments: None):
    def wrapped(*arguments):
        global count
        count += 1
        if count == fatal:
            before(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments)
    return wrapped

half = lambda self, descriptor, data: os.write(descriptor, data[:20])
steps = ("create", "write", "sync", "replace", "sync_directory")
Mortal = type("Mortal", (Files,), {step: mortal(getattr(Files, step)) for step in steps})
Mortal.write = mortal(Files.write, half)
locks._take = mortal(locks._take)
send = HttpTransport.send
HttpTransport.send = mortal(lambda self, request: answered(send(self, request)))
answered = mortal(lambda response: response)

def renew(directory):
    store = FileStore(directory, SYSTEM_CLOCK, Mortal())
    backoff = lambda: Backoff(directory, SYSTEM_CLOCK, Mortal())
    return Refresher(store, HttpTransport, SYSTEM_CLOCK, backoff=backoff).fresh(LoginKind.GATEWAY)

for fatal in range(1, last + 1):
    if os.fork() == 0:
        renew(root / str(fatal))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
STEPS = 14
"""Lock of the login; request; answer; lock of the file; create, write, sync, replace and sync twice."""


@pytest.mark.requirement("R-01 killed", "R-02 killed")
def test_a_process_killed_at_any_step_of_a_renewal_costs_nobody_the_login(
    endpoint: TokenEndpoint, tmp_path: Path
) -> None:
    """kill -9 before each step; the fifteenth does not come. The next process gets a token at once."""
    for step in range(1, STEPS + 2):
        _expired(tmp_path / str(step), endpoint.url)
    endpoint.valid = {"refresh-1"}

    done = subprocess.run(
        [sys.executable, "-c", _MORTAL, str(tmp_path), str(STEPS + 1)], capture_output=True, text=True, check=True
    )

    assert [int(line) for line in done.stdout.split()] == [-signal.SIGKILL] * STEPS + [0]
    for step in range(1, STEPS + 2):
        store = FileStore(tmp_path / str(step), SYSTEM_CLOCK)
        fresh = Refresher(store, HttpTransport, SYSTEM_CLOCK, patience=0.0).fresh(KIND)
        assert fresh.tokens.freshness(SYSTEM_CLOCK.now()) is Freshness.FRESH
        assert fresh.retired_at is None
        assert store.notes() == ()


_WRITE = """
import sys
from pathlib import Path
from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import LoginKind
from keystead.refresher import Refresher
from keystead.stores.file import FileStore
from keystead.testing.transport import ScriptedTransport, json_response
answer = json_response(200, {"access_token": "renewed", "refresh_token": "r", "token_type": "Bearer", "expires_in": 60})
store = FileStore(Path(sys.argv[1]), SYSTEM_CLOCK)
Refresher(store, lambda: ScriptedTransport([answer]), SYSTEM_CLOCK).fresh(LoginKind.GATEWAY)
"""
CALLS = [
    ("flock", 1),
    ("flock", 2),
    ("write", 1),
    ("write", 2),
    *(("fsync", n) for n in range(1, 5)),
    ("rename", 1),
    ("rename", 2),
]


@pytest.mark.requirement("R-02 killed")
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("call", "number"), CALLS)
def test_the_kernel_kills_at_a_system_call(directory: Path, call: str, number: int) -> None:
    """The same without any of our code in between: strace kills at the call."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL:when={number}"]
    # -B: no write of the interpreter's own is counted
    python = [sys.executable, "-B", "-c", _WRITE, str(directory)]
    died = subprocess.run([*command, *python], check=False, capture_output=True)
    if b"ptrace" in died.stderr or b"Operation not permitted" in died.stderr:
        pytest.skip("this machine lets nobody trace")

    assert died.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
    found = FileStore(directory, SYSTEM_CLOCK).load(KIND)
    assert found is not None
    assert found.tokens.access_token.reveal() == ("renewed" if (call, number) == ("fsync", 4) else "old")


def _refused() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


NOT_TLS = "https to the plain port"


@pytest.mark.requirement("R-02 faults")
@pytest.mark.parametrize("url", [_refused(), "https://name.invalid", NOT_TLS], ids=["refused", "name", "tls"])
def test_a_server_that_cannot_be_reached_changes_nothing(endpoint: TokenEndpoint, directory: Path, url: str) -> None:
    """Refused, no such name, no TLS: temporary, and the next try is not held back."""
    url = endpoint.url.replace("http:", "https:") if url == NOT_TLS else url
    store = FileStore(directory, SYSTEM_CLOCK)
    login = store.load(KIND)
    assert login is not None
    away = store.save(replace(login, token_endpoint=f"{url}/oauth/token"))
    refresher = Refresher(store, HttpTransport, SYSTEM_CLOCK, backoff=lambda: Backoff(directory, SYSTEM_CLOCK))

    with pytest.raises(TemporaryFailure):
        refresher.fresh(KIND)
    assert store.load(KIND) == away

    store.save(replace(away, token_endpoint=login.token_endpoint))
    assert refresher.fresh(KIND).tokens.access_token.reveal() == "renewed-1"


@pytest.mark.requirement("R-02 faults")
def test_silence_and_a_reset_change_nothing(directory: Path, endpoint: TokenEndpoint) -> None:
    """A server that never answers ends at the deadline; one that resets the connection, at once."""
    store = FileStore(directory, SYSTEM_CLOCK)
    login = store.load(KIND)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/oauth/token"
        assert login is not None
        away = store.save(replace(login, token_endpoint=url))
        with pytest.raises(TemporaryFailure):
            Refresher(store, lambda: HttpTransport(deadline=0.2), SYSTEM_CLOCK).fresh(KIND)
    with pytest.raises(TemporaryFailure):  # closed with the request unread: a reset
        Refresher(store, HttpTransport, SYSTEM_CLOCK).fresh(KIND)
    assert store.load(KIND) == away

    store.save(replace(away, token_endpoint=login.token_endpoint))
    assert Refresher(store, HttpTransport, SYSTEM_CLOCK).fresh(KIND).tokens.access_token.reveal() == "renewed-1"


@pytest.mark.requirement("R-02 undo")
def test_a_login_ended_by_mistake_is_restored_and_renews(endpoint: TokenEndpoint, directory: Path) -> None:
    """The server's database was restored, say, and it knows the refresh token again."""
    store = FileStore(directory, SYSTEM_CLOCK)
    refresher = Refresher(store, HttpTransport, SYSTEM_CLOCK)
    endpoint.answer = (400, "application/json", b'{"error": "invalid_grant"}')
    with pytest.raises(CredentialRejected):
        refresher.fresh(KIND)

    endpoint.answer = None
    with pytest.raises(KeysteadError):
        refresher.fresh(KIND)
    store.restore(KIND)

    assert refresher.fresh(KIND).tokens.access_token.reveal() == "renewed-1"
