"""Limits over several server processes on one PostgreSQL: what they overspend together, and what a dead one leaves."""

import http.client
import json
import re
import secrets
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from people import PATIENCE, Person
from postgres import cluster
from redis_server import RedisServer, redis_server
from running import RunningServer

from keystead.secret import Secret
from keystead.testing.messages_api import MessagesApi

BODY = {"model": "keystead-test-1", "max_tokens": 40, "messages": [{"role": "user", "content": "hello"}]}
CROWD = 3
"""Clients at each server."""
MICRO_PER_CENT = 10_000
TRIES = 5_000
"""How often is asked at most; between two times is a hundredth of a second where nothing but waiting is to be done."""
OPEN: list[http.client.HTTPConnection] = []
"""Connections of the test under way."""


@dataclass
class Fleet:
    """Servers that have everything in common, and their administrator."""

    database: str
    redis: RedisServer | None
    shared: dict[str, str]
    homes: Path
    stack: ExitStack
    servers: list[RunningServer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.person = self.start().administrator()

    def start(self, **more: str) -> RunningServer:
        home = self.homes / str(len(self.servers))
        home.mkdir()
        self.servers.append(self.stack.enter_context(RunningServer(home, self.shared | more)))
        return self.servers[-1]

    def spent(self, client: str) -> tuple[int, int]:
        """Return what a client's requests cost, in micro-units, and how many were served."""
        with psycopg.connect(self.database) as connection:
            found = connection.execute(
                "SELECT coalesce(sum(cost_micro), 0), count(*) FROM usage_usageentry "
                "WHERE client = %s AND status = 200",
                [client],
            ).fetchone()
        assert found is not None
        return int(found[0]), int(found[1])


def limited_key(person: Person, name: str, amount: str = "", what: str = "spend|monthly") -> str:
    """Return a new key with a limit of its own."""
    key = person.create_key(name)
    if amount:
        place, page = person.open(f"{person.base}/limits")
        whom = re.search(rf'value="(api_key\|\w+\|shared)"[^>]*>Key {name} of', page)
        assert whom, page
        person.fill(place, page, {"whom": whom[1], "amount": amount, "what": what})
    return key


@dataclass
class Client:
    """A program that asks one server over one connection."""

    server: RunningServer
    key: str
    name: str

    def __post_init__(self) -> None:
        address = urlsplit(self.server.base)
        self.connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
        OPEN.append(self.connection)

    def ask(self, **more: object) -> tuple[int, str]:
        """Return the status and, of an error, its type."""
        headers = {"x-api-key": self.key, "content-type": "application/json", "user-agent": self.name}
        self.connection.request("POST", "/v1/messages", json.dumps(BODY | more), headers)
        with self.connection.getresponse() as answer:
            said = json.loads(answer.read())
        return answer.status, said.get("error", {}).get("type", "")

    def until(self, status: int, **more: object) -> None:
        """Ask until that is the answer: word takes a moment from process to process."""
        for _ in range(TRIES):
            if self.ask(**more)[0] == status:
                return
            threading.Event().wait(0.01)
        pytest.fail(f"it never answered {status}")


@pytest.fixture(autouse=True)
def closed_connections() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[MessagesApi]:
    with MessagesApi(api_key=Secret("upstream")) as api:
        yield api


@pytest.fixture(scope="module")
def common(upstream: MessagesApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Four servers that know of one another by the ledger alone; the first has the administrator."""
    with ExitStack() as stack:
        yield _fleet(stack, upstream, tmp_path_factory.mktemp("apart"), None)


@pytest.fixture(scope="module")
def telling(upstream: MessagesApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Four servers that tell one another."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        yield _fleet(stack, upstream, tmp_path_factory.mktemp("telling"), redis)


def _fleet(stack: ExitStack, upstream: MessagesApi, homes: Path, redis: RedisServer | None) -> Fleet:
    database = stack.enter_context(cluster()).create()
    shared = {
        "KEYSTEAD_SERVER_DATABASE_URL": database,
        "KEYSTEAD_SERVER_SECRET_KEY": secrets.token_hex(32),
        "KEYSTEAD_SERVER_UPSTREAM_URL": upstream.base_url,
        "KEYSTEAD_SERVER_UPSTREAM_API_KEY": "upstream",
    }
    if redis is not None:
        shared["KEYSTEAD_SERVER_COUNTERS_URL"] = redis.url
    fleet = Fleet(database, redis, shared, homes, stack)
    for _ in range(3):
        fleet.start()
    return fleet


def hammer(servers: list[RunningServer], key: str, name: str) -> Counter[tuple[int, str]]:
    """Have clients at every server ask until each is told that all is spent; returns how often what was answered."""
    start, answers = threading.Barrier(CROWD * len(servers)), Counter[tuple[int, str]]()

    def one(server: RunningServer) -> None:
        client, mine = Client(server, key, name), Counter[tuple[int, str]]()
        start.wait()
        while (429, "billing_error") not in mine and mine.total() < TRIES:
            mine[client.ask()] += 1
        answers.update(mine)

    threads = [threading.Thread(target=one, args=(server,)) for server in servers for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.requirement("G-02 servers")
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("known", ["by the ledger", "by being told"])
def test_several_servers_overspend_no_more_than_is_written(
    request: pytest.FixtureRequest, count: int, known: str
) -> None:
    fleet: Fleet = request.getfixturevalue("telling" if known == "by being told" else "common")
    name = f"{count}-{known.split()[-1]}"
    key = limited_key(fleet.person, name, "0.05")
    servers = fleet.servers[:count]
    answers = hammer(servers, key, name)
    assert set(answers) <= {(200, ""), (429, "billing_error"), (429, "rate_limit_error")}
    served = answers[200, ""]
    assert any(fleet.spent(name)[1] == served for _ in range(TRIES)), "each is one row of the ledger"
    spent, cap = fleet.spent(name)[0], 5 * MICRO_PER_CENT
    most = cap * 1.5 if fleet.redis is not None else cap * count  # far more than is admitted in a tenth of a second
    assert cap * 0.9 < spent <= most


LONG = {
    "max_tokens": 300,
    "stream": True,
    "messages": [{"role": "user", "content": "x-keystead-fake: words=9, hang=3"}],
}
"""An answer that begins and does not end. What it holds is most of a cent."""


@pytest.mark.requirement("G-02 servers")
def test_what_a_killed_server_held_is_free_again_and_nothing_counts_twice(telling: Fleet) -> None:
    key = limited_key(telling.person, "killed", "0.01")
    dying, staying = telling.start(), telling.servers[0]
    for _ in range(5):
        assert Client(dying, key, "killed").ask()[0] == 200
    held = Client(dying, key, "killed")
    held.connection.request("POST", "/v1/messages", json.dumps(BODY | LONG), {"x-api-key": key, "user-agent": "killed"})
    answer = held.connection.getresponse()
    assert answer.read(10)
    client = Client(staying, key, "killed")
    client.until(429, max_tokens=300)
    assert client.ask(max_tokens=300) == (429, "rate_limit_error"), "it is held for a request under way"
    assert any(telling.spent("killed")[1] >= 5 for _ in range(TRIES))
    assert dying.stop(signal.SIGKILL) == -signal.SIGKILL
    answer.close()
    client.until(200, max_tokens=300)
    hammer([staying, telling.servers[1]], key, "killed")
    spent = [telling.spent("killed")[0] for _ in range(100)][-1]
    assert MICRO_PER_CENT * 0.8 < spent <= MICRO_PER_CENT * 1.5


@pytest.mark.requirement("G-03 servers")
def test_a_flush_or_a_restart_of_the_counter_store_makes_no_budget_free(telling: Fleet) -> None:
    assert telling.redis is not None
    key = limited_key(telling.person, "restarted", "0.01")
    first, second = (Client(server, key, "restarted") for server in telling.servers[:2])
    first.until(429)
    second.until(429)
    telling.redis.ask("FLUSHALL")
    assert [one.ask()[0] for one in (first, second)] == [429, 429]
    telling.redis.stop()
    assert [one.ask()[0] for one in (first, second)] == [429, 429]
    late = Client(telling.start(), key, "restarted")
    assert late.ask()[0] == 429, "who starts meanwhile counts the ledger"
    telling.redis.start()
    for server in telling.servers[:2]:
        assert comes_to_say(server, 200, "ready")
    assert [one.ask()[0] for one in (first, second, late)] == [429, 429, 429]
    assert telling.redis.url.partition("@")[0].rpartition(":")[2] not in "".join(one.output for one in telling.servers)


def test_without_the_counter_store_limits_fail_as_the_operator_wants(telling: Fleet) -> None:
    assert telling.redis is not None
    closed = telling.start(KEYSTEAD_SERVER_LIMITS_FAIL="closed")
    limited, free = limited_key(telling.person, "closed", "1"), limited_key(telling.person, "free")
    server = telling.servers[0]
    Client(closed, limited, "closed").until(200)
    telling.redis.stop()
    try:
        assert comes_to_say(closed, 503, "the counter store does not answer")
        Client(closed, limited, "closed").until(503)
        assert Client(closed, free, "closed").ask()[0] == 200, "nothing is limited there"
        assert comes_to_say(server, 200, "ready; the counter store does not answer: limits go by the ledger")
        assert Client(server, limited, "closed").ask()[0] == 200
    finally:
        telling.redis.start()
    Client(closed, limited, "closed").until(200)
    assert comes_to_say(closed, 200, "ready")


def comes_to_say(server: RunningServer, status: int, text: str) -> bool:
    """Whether ``/readyz`` comes to say that."""
    for _ in range(TRIES):
        if ready(server) == (status, text):
            return True
        threading.Event().wait(0.01)
    return False


def ready(server: RunningServer) -> tuple[int, str]:
    """Return the status and the text of ``/readyz``."""
    address = urlsplit(server.base)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
