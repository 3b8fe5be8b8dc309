"""The channel through a real Redis: what is told arrives, what was lost is made up for, strangers are not heard."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest
from redis_server import RedisServer, redis_server

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.allowances import Allowances, LimitTruth
from keystead.server.changes import Changes
from keystead.server.limits.counted import Counted
from keystead.server.limits.shared import News, dump
from keystead.server.limits.sums import Ledger
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import Limit, Measure, Period, Scope
from keystead.server.settings import ServerSettings, load
from keystead.server.shared_counters import RedisLink, SharedCounters, checked
from keystead.server.usage.price_list import SHIPPED

CALLER = Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1")
LIMIT = Limit("spl_1", Scope.USER, "mem_1", False, Measure.CONCURRENT, Period.NOW, 10**6)
KEYS = [b"k" * 32, b"the one before"]
ROUNDS = 3000
"""Hundredths of a second that something is waited for."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


class Server:
    """The counters of one process."""

    def __init__(self, url: str, name: str, stack: ExitStack, keys: list[bytes] = KEYS) -> None:
        def ledger(_: frozenset[Counted], __: float, borders: tuple[float, ...]) -> Ledger:
            return Ledger([{} for _ in borders], {})

        self.recounts: SimpleQueue[None] = SimpleQueue()
        truth = LimitTruth(lambda: {"org_1": [LIMIT]}, lambda _: {}, ledger)
        self.allowances = Allowances(truth, SHIPPED, SYSTEM_CLOCK, Changes(), origin=name)
        self.counters = SharedCounters(
            self.allowances,
            lambda channels: RedisLink(Secret(url), channels),
            keys,
            lambda: self.recounts.put(None),
            SYSTEM_CLOCK,
        )
        stack.callback(self.allowances.close)
        stack.callback(self.counters.close)

    def reserve(self, number: int) -> None:
        found = self.allowances.reserve(CALLER, f"{number:032x}", "m", (0, 1), ("", ""), SYSTEM_CLOCK.now())
        assert found == ""

    def sees(self, used: int, others: int) -> bool:
        """Whether it comes to see that soon."""
        for _ in range(ROUNDS):
            ((_, seen),) = self.allowances.used(CALLER)
            if (seen, self.counters.servers) == (used, others):
                return True
            Event().wait(0.01)
        return False


@pytest.mark.requirement("G-02 servers")
def test_what_one_holds_counts_at_every_other_until_it_leaves(redis: RedisServer) -> None:
    with ExitStack() as stack:
        first, second = Server(redis.url, "one", stack), Server(redis.url, "two", stack)
        first.reserve(1)
        assert second.sees(1, 1)
        second.reserve(2)
        assert first.sees(2, 1)
        with ExitStack() as short:
            third = Server(redis.url, "three", short)
            assert third.sees(2, 2), "a new one is told what was said before"
            third.reserve(3)
            assert first.sees(3, 2)
        assert first.sees(2, 1)
        assert not first.counters.away
        assert first.counters.remark() == ""


@pytest.mark.requirement("G-03 servers")
def test_a_flush_and_a_restart_lose_nothing(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        first, second = Server(redis.url, "one", stack), Server(redis.url, "two", stack)
        first.reserve(1)
        assert second.sees(1, 1)
        redis.ask("FLUSHALL")
        first.reserve(2)
        assert second.sees(2, 1)
        redis.stop()
        first.reserve(3)
        for server in (first, second):
            assert _until(lambda server=server: server.counters.away)  # type: ignore[misc]
            assert "does not answer" in server.counters.remark()
            assert server.sees({first: 3, second: 0}[server], 0), "what nobody vouches for any more is not held"
        redis.start()
        assert second.sees(3, 1)
        assert _until(lambda: not first.counters.away)
        assert not second.recounts.empty()
    assert redis.url.partition("@")[0].rpartition(":")[2] not in caplog.text
    assert [one.getMessage() for one in caplog.records if "does not answer" in one.getMessage()]


def test_servers_with_the_secret_key_before_hear_those_with_the_new_one(redis: RedisServer) -> None:
    with ExitStack() as stack:
        first, second = Server(redis.url, "one", stack, [b"old"]), Server(redis.url, "two", stack, [b"new", b"old"])
        third = Server(redis.url, "three", stack, [b"new"])
        first.reserve(1)
        assert second.sees(1, 2)
        third.reserve(2)
        assert second.sees(2, 2)
        assert first.sees(1, 1)


def test_another_installation_and_a_stranger_are_not_heard(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        server, other = Server(redis.url, "one", stack), Server(redis.url, "one", stack, [b"another key"])
        other.reserve(1)
        assert _until(lambda: len(redis.ask("PUBSUB", "CHANNELS")) == 3)
        for channel in redis.ask("PUBSUB", "CHANNELS"):
            redis.ask("PUBLISH", channel.decode(), dump(News("stranger", 1, whole=True), b"guessed"))
        assert _until(lambda: "not of a server of this database" in caplog.text)
        server.reserve(2)
        assert server.sees(1, 0)


def _until(holds: Callable[[], bool]) -> bool:
    for _ in range(ROUNDS):
        if holds():
            return True
        Event().wait(0.01)
    return False


DATABASE = {"KEYSTEAD_SERVER_DATABASE_URL": "postgresql://db/keystead"}


@pytest.mark.parametrize(
    "url",
    [
        "canary",
        "http://:canary@host:6379",
        "redis://",
        "redis://:canary@",
        "redis://:canary@host:99999",
        "redis://:canary@host/name",
        "rediss://:canary@host?ssl_cert_reqs=none",
        "unix:///canary",
    ],
)
def test_an_address_that_cannot_be_one_stops_the_server_and_is_not_quoted(tmp_path: Path, url: str) -> None:
    settings = ServerSettings(data_dir=tmp_path, database_url=Secret("postgresql://db/k"), counters_url=Secret(url))
    with pytest.raises(ConfigurationError, match="COUNTERS_URL is not the address of a Redis or Valkey") as raised:
        checked(settings)
    assert "canary" not in f"{raised.value} {raised.value.hint} {settings}"
    assert raised.value.move == "operator"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys"])
def test_an_address_is_a_secret_and_may_be_a_reference(tmp_path: Path, scheme: str) -> None:
    file = tmp_path / "url"
    file.write_text(f"{scheme}://keystead:canary@counters.example.com:6380/2\n")
    file.chmod(0o600)
    variables = {"KEYSTEAD_SERVER_DATA_DIR": str(tmp_path), "KEYSTEAD_SERVER_COUNTERS_URL": f"file:{file}"}
    settings = load(variables | DATABASE)
    checked(settings)
    assert "canary" not in repr(settings)


def test_one_process_on_sqlite_has_nobody_to_tell(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the database is SQLite, which has one server process"):
        checked(ServerSettings(data_dir=tmp_path, counters_url=Secret("redis://host")))
