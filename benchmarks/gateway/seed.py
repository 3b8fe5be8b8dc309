"""Make a fresh installation with an administrator, one API key, a policy and limits, as a person's clicks would.

Reads the server's settings from the environment and how many keys to add beside it from the first argument; prints the
key.
"""

import json
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from keystead.server import installation
from keystead.server.settings import load

BATCH = 10_000


def main() -> None:
    """Print a working key."""
    installation.open_database(load(os.environ), secrets.token_bytes)
    from keystead.server.identity import operations as identity
    from keystead.server.keys import operations as keys

    now = datetime.now(UTC)
    code = identity.new_setup_code(now, secrets.token_bytes, timedelta(hours=1))
    assert code is not None, "the data directory is not fresh"
    member = identity.create_first_administrator(
        code=code,
        email="bench@example.com",
        password=secrets.token_urlsafe(24),
        name="Benchmark",
        organization_name="Benchmarks",
        now=now,
    )
    _, secret = keys.issue(member, "benchmark", now=now, random_bytes=secrets.token_bytes)
    add(member, int(sys.argv[1]), now - timedelta(days=1))
    govern(member, now)
    print(secret.reveal())


def govern(member: Any, now: datetime) -> None:
    """Allow some models, and limit what is spent and asked in more ways than one, each far beyond what a run uses."""
    from keystead.server.limits import operations as limits
    from keystead.server.policies import operations as policies
    from keystead.server.policy.limits import Measure, Period, Scope

    allowed = {"availableModels": ["claude-sonnet-4-5", "claude-opus-4-1", "claude-haiku-4-5"]}
    policies.create(member, policies.Draft("Everybody", json.dumps(allowed)), now)
    for scope, measure, period in (
        (Scope.ORGANIZATION, Measure.SPEND, Period.MONTHLY),
        (Scope.ORGANIZATION, Measure.REQUESTS, Period.MINUTE),
        (Scope.ORGANIZATION, Measure.SPEND, Period.FIVE_HOURS),
    ):
        limits.put(member, limits.Draft(scope, "", measure, period, limits.LARGEST, shared=True), now)


def add(member: Any, number: int, created_at: datetime) -> None:
    """Add keys that nobody has: their digests are random."""
    from keystead.server.keys.models import ApiKey

    like = ApiKey.objects.get()
    for start in range(0, number, BATCH):
        ApiKey.objects.bulk_create(
            ApiKey(
                organization_id=like.organization_id,
                workspace_id=like.workspace_id,
                member=member,
                name=f"key {each}",
                purpose=like.purpose,
                digest=secrets.token_bytes(32),
                hint="",
                created_at=created_at,
            )
            for each in range(start, min(start + BATCH, number))
        )


if __name__ == "__main__":
    main()
