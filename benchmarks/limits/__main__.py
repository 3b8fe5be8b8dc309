"""What it costs to count the ledger for the limits: all of it, and only what is new.

Fills the installation that the environment names (``KEYSTEAD_SERVER_DATA_DIR`` and, for PostgreSQL,
``KEYSTEAD_SERVER_DATABASE_URL``), which must be a fresh one, with a month of requests, and prints the times.
"""

import argparse
import os
import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from keystead.server import installation
from keystead.server.settings import load
from keystead.wire import ids

MONTH: Final = 30 * 86_400
BATCH: Final = 2_000
ROUNDS: Final = 5


def main() -> None:
    """Seed, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=1_000)
    chosen = parser.parse_args()
    installation.open_database(load(os.environ), secrets.token_bytes)
    from django.db import connection

    from keystead.server.identifiers import new_id
    from keystead.server.limits import facts, sums
    from keystead.server.limits.counted import Counted
    from keystead.server.policy.limits import Period, Scope

    organization = ids.dump("organization", new_id())
    now = time.time()
    _fill(organization, chosen.rows, chosen.members, now)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE usage_usageentry")
    for name, asked in {
        "a month, each member": [Counted(organization, Scope.USER, Period.MONTHLY)],
        "a month, one pot": [Counted(organization, Scope.ORGANIZATION, Period.MONTHLY, organization)],
        "seven days, each member": [Counted(organization, Scope.USER, Period.SEVEN_DAYS)],
        "five hours, each member": [Counted(organization, Scope.USER, Period.FIVE_HOURS)],
    }.items():
        wanted = frozenset(asked)
        whole = _best(lambda wanted=wanted: sums.read(facts.ledger, sums.Sums(), wanted, now, whole=True))  # type: ignore[misc]
        before, _ = sums.read(facts.ledger, sums.Sums(), wanted, now, whole=True)
        new = _best(lambda wanted=wanted, before=before: sums.read(facts.ledger, before, wanted, now, whole=False))  # type: ignore[misc]
        print(f"{connection.vendor:10} {name:24} whole {whole * 1000:8.1f} ms   what is new {new * 1000:7.1f} ms")


def _fill(organization: str, rows: int, members: int, now: float) -> None:
    from keystead.server.identifiers import new_id
    from keystead.server.usage.ledger import store
    from keystead.server.usage.record import UsageRecord

    workspace, crowd = ids.dump("workspace", new_id()), [ids.dump("membership", new_id()) for _ in range(members)]
    begin = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0).timestamp()
    begin, chance = min(begin, now - MONTH / 2), random.Random(7)
    for at in range(0, rows, BATCH):
        batch = []
        for number in range(at, min(at + BATCH, rows)):
            member, when = chance.choice(crowd), begin + (now - begin) * number / rows
            who: list[Any] = [new_id().hex, "req", organization, workspace, member, "session", "gra_1", "sdk", "s"]
            what: list[Any] = ["anthropic", "claude-opus-4-5", 200, when, 5_000, chance.randrange(9_000), 500]
            what += [0, 0, True, False, False]
            batch.append(UsageRecord(*who, *what))
        store(batch)


def _best(work: Callable[[], object]) -> float:
    found = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)


if __name__ == "__main__":
    main()
