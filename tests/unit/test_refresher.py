"""One renewal for any number of processes, and no login lost on the way."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from token_endpoint import TokenEndpoint, running

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Freshness, Login, LoginKind
from keystead.drivers.transport import HttpTransport
from keystead.errors import (
    CredentialExpired,
    CredentialRejected,
    KeysteadError,
    NoCredential,
    StoreBusy,
    StoreUnavailable,
)
from keystead.refresher import Refresher
from keystead.stores.file import FileStore
from keystead.stores.files import Files
from keystead.stores.memory import MemoryStore
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import sample_login

KIND = LoginKind.GATEWAY


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with running() as endpoint:
        yield endpoint


def login_at(endpoint: TokenEndpoint, *, age: float, now: float) -> Login:
    login = sample_login(access_token="old")
    return replace(
        login,
        issuer=endpoint.url,
        token_endpoint=f"{endpoint.url}/oauth/token",
        tokens=replace(login.tokens, issued_at=now - age),
    )


class Scene:
    """One store with one login, and a refresher that a fake clock drives."""

    def __init__(self, endpoint: TokenEndpoint, age: float) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.saved = self.store.save(login_at(endpoint, age=age, now=self.clock.now()))
        self.refresher = Refresher(self.store, HttpTransport, self.clock, patience=0.0)

    def token(self, **arguments: Any) -> str:
        return self.refresher.fresh(KIND, **arguments).tokens.access_token.reveal()


@pytest.mark.parametrize(("age", "token", "calls"), [(0, "old", 0), (3400, "renewed-1", 1), (9000, "renewed-1", 1)])
def test_a_login_is_renewed_when_it_is_due(endpoint: TokenEndpoint, age: float, token: str, calls: int) -> None:
    """Fresh: as it is. Stale and expired: renewed, kept, and the next use needs no call."""
    scene = Scene(endpoint, age)

    assert [scene.token(), scene.token()] == [token, token]
    assert endpoint.calls == calls
    stored = scene.store.load(KIND)
    assert stored is not None
    assert stored.generation == 1 + calls
    assert stored.extra == scene.saved.extra


FAULTS = [
    (500, "application/json", b'{"error": "server_error"}'),
    (503, "text/html", b"<html>down</html>"),
    (200, "text/html", b"<html>Welcome to the hotel's network</html>"),
    (200, "application/json", b'{"access_token": "x"'),
    (302, "text/html", b""),
    (400, "text/html", b"invalid_grant"),
    (401, "application/json", b'{"error": "invalid_client"}'),
    (403, "text/html", b"<html>portal</html>"),
    (429, "application/json", b'{"error": "slow_down"}'),
]


@pytest.mark.requirement("R-02 faults")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0]}-{fault[1]}-{len(fault[2])}")
def test_a_fault_changes_nothing_and_passes(endpoint: TokenEndpoint, fault: tuple[int, str, bytes]) -> None:
    """Expired: an error now, success when the fault is over. Stale: quiet. The store is as it was (R-02)."""
    for age, usable in ((9000, False), (3400, True)):
        scene = Scene(endpoint, age)
        endpoint.answer = fault
        if usable:
            assert scene.token() == "old"
        else:
            with pytest.raises(KeysteadError) as caught:
                scene.token()
            assert not isinstance(caught.value, CredentialRejected)
        assert scene.store.load(KIND) == scene.saved

        endpoint.answer = None
        assert scene.token().startswith("renewed-")


def test_a_server_that_is_gone_changes_nothing(endpoint: TokenEndpoint) -> None:
    """Nobody listens there any more."""
    scene = Scene(endpoint, 9000)
    scene.store.save(replace(scene.saved, token_endpoint="http://127.0.0.1:1/oauth/token"))
    before = scene.store.load(KIND)

    with pytest.raises(KeysteadError) as caught:
        scene.token()

    assert caught.value.exit_code == 75
    assert scene.store.load(KIND) == before


@pytest.mark.parametrize("status", [400, 401])
def test_invalid_grant_retires_the_login_and_keeps_it(endpoint: TokenEndpoint, status: int) -> None:
    """Said once by the server, remembered, restorable; no further call is made."""
    scene = Scene(endpoint, 9000)
    endpoint.answer = (status, "application/json", b'{"error": "invalid_grant"}')

    for _ in range(3):
        with pytest.raises(CredentialRejected) as caught:
            scene.token()
        assert caught.value.exit_code == 4

    assert endpoint.calls == 1
    retired = scene.store.load(KIND)
    assert retired is not None
    assert retired.retired_at == scene.clock.now()
    assert retired.tokens == scene.saved.tokens


def test_without_a_refresh_token_the_end_is_the_end(endpoint: TokenEndpoint) -> None:
    """Stale is used as it is, expired says to sign in."""
    scene = Scene(endpoint, 3400)
    scene.store.save(replace(scene.saved, tokens=replace(scene.saved.tokens, refresh_token=None)))

    assert scene.token() == "old"
    scene.clock.advance(500)
    with pytest.raises(CredentialExpired):
        scene.token()
    assert endpoint.calls == 0


@pytest.mark.requirement("R-09 one renewal")
def test_a_401_renews_once_for_each_generation(endpoint: TokenEndpoint) -> None:
    """Who comes second with the same refused generation gets the token of the first (R-09)."""
    scene = Scene(endpoint, 0)
    refused = scene.saved.generation

    assert scene.token(rejected=refused) == "renewed-1"
    assert scene.token(rejected=refused) == "renewed-1"
    assert endpoint.calls == 1


def test_a_busy_lock_is_waited_for_only_when_the_token_is_needed(endpoint: TokenEndpoint) -> None:
    """A token that still works is not worth waiting for."""
    for age, usable in ((3400, True), (9000, False)):
        scene = Scene(endpoint, age)
        with scene.store.lock(KIND, 0):
            if usable:
                assert scene.token() == "old"
            else:
                with pytest.raises(StoreBusy):
                    scene.token()
    assert endpoint.calls == 0


def test_a_login_that_was_removed_meanwhile_is_an_error() -> None:
    """Somebody signed out."""
    with pytest.raises(NoCredential):
        Refresher(MemoryStore(), HttpTransport, FakeClock()).fresh(KIND)


_USE = """
import os, sys
from pathlib import Path
from keystead.clock import SYSTEM_CLOCK
from keystead.client import _network
from keystead.credentials import LoginKind
from keystead.refresher import Refresher
from keystead.stores.file import FileStore
from keystead.stores.files import Files

print("ready", flush=True)
os.read(int(sys.argv[2]), 1)
store = FileStore(Path(sys.argv[1]), SYSTEM_CLOCK)
print(Refresher(store, _network, SYSTEM_CLOCK).fresh(LoginKind.GATEWAY).tokens.access_token.reveal())
"""


def start(directory: Path, gate: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _USE, str(directory), str(gate)], stdout=subprocess.PIPE, text=True, pass_fds=(gate,)
    )


def test_a_holder_killed_in_the_middle_of_a_renewal_blocks_nobody(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """The operating system frees its lock, and the old login is still there to renew."""
    store = FileStore(tmp_path / "state", SYSTEM_CLOCK)
    saved = store.save(login_at(endpoint, age=9000, now=SYSTEM_CLOCK.now()))
    endpoint.go_on.clear()
    gate, opener = os.pipe()
    os.close(opener)
    with start(tmp_path / "state", gate) as first:
        os.close(gate)
        assert endpoint.arrived.wait(60)
        first.kill()
    endpoint.go_on.set()

    assert store.load(KIND) == saved
    fresh = Refresher(store, HttpTransport, SYSTEM_CLOCK).fresh(KIND)

    assert fresh.tokens.freshness(SYSTEM_CLOCK.now()) is Freshness.FRESH
    assert endpoint.calls == 2


@pytest.mark.requirement("R-01 stopped")
def test_a_stopped_holder_logs_nobody_out(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """Whoever waits gets a temporary error in bounded time; when the holder goes on, its token serves all (R-01)."""
    store = FileStore(tmp_path / "state", SYSTEM_CLOCK)
    saved = store.save(login_at(endpoint, age=9000, now=SYSTEM_CLOCK.now()))
    endpoint.go_on.clear()
    gate, opener = os.pipe()
    os.close(opener)
    with start(tmp_path / "state", gate) as holder:
        os.close(gate)
        assert endpoint.arrived.wait(60)
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreBusy):
            Refresher(store, HttpTransport, SYSTEM_CLOCK, patience=0.1).fresh(KIND)
        assert store.load(KIND) == saved
        endpoint.go_on.set()
        holder.send_signal(signal.SIGCONT)
        assert holder.communicate()[0] == "ready\nrenewed-1\n"

    assert Refresher(store, HttpTransport, SYSTEM_CLOCK).fresh(KIND).tokens.access_token.reveal() == "renewed-1"
    assert endpoint.calls == 1


class _Full(Files):
    def write(self, descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.requirement("R-02 faults")
def test_a_renewal_that_cannot_be_kept_is_not_used(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """Kept first, used then: otherwise the next process would have neither token (R-02)."""
    clock = FakeClock()
    store = FileStore(tmp_path / "state", clock)
    saved = store.save(login_at(endpoint, age=9000, now=clock.now()))

    with pytest.raises(StoreUnavailable, match="no space left"):
        Refresher(FileStore(tmp_path / "state", clock, _Full()), HttpTransport, clock).fresh(KIND)
    assert store.load(KIND) == saved

    assert Refresher(store, HttpTransport, clock).fresh(KIND).generation == saved.generation + 1


class Waiting(FakeClock):
    """Something happens while somebody waits."""

    def __init__(self, happens: Callable[[], object], after: float) -> None:
        super().__init__()
        self._happens, self._after = happens, after

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.monotonic() >= self._after:
            self._happens()


@pytest.mark.requirement("R-01 fifty")
def test_who_waits_leaves_when_it_is_renewed_and_not_when_the_lock_is_free(
    endpoint: TokenEndpoint, tmp_path: Path
) -> None:
    """A crowd that took the lock one by one would be done long after the renewal."""
    clock = Waiting(lambda: store.save(login_at(endpoint, age=0, now=clock.now())), after=2.0)
    store = FileStore(tmp_path / "state", clock)
    store.save(login_at(endpoint, age=9000, now=clock.now()))

    with store.lock(KIND, 0.0):
        fresh = Refresher(store, HttpTransport, clock).fresh(KIND)

    assert fresh.tokens.freshness(clock.now()) is Freshness.FRESH
    assert clock.monotonic() < 2.2
    assert endpoint.calls == 0


def test_who_waits_in_vain_is_told_for_how_long(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    clock = FakeClock()
    store = FileStore(tmp_path / "state", clock)
    store.save(login_at(endpoint, age=9000, now=clock.now()))

    with store.lock(KIND, 0.0), pytest.raises(StoreBusy, match="for more than 60 s"):
        Refresher(store, HttpTransport, clock).fresh(KIND)

    assert 60 <= clock.monotonic() < 60.5
