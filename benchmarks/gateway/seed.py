"""Make a fresh installation with an administrator and one API key, by the operations a person's clicks would call.

Reads the server's settings from the environment, prints the key.
"""

import os
import secrets
from datetime import UTC, datetime, timedelta

from keystead.server import app
from keystead.server.settings import load


def main() -> None:
    """Print a working key."""
    app.open_database(load(os.environ), secrets.token_bytes)
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
    print(secret.reveal())


if __name__ == "__main__":
    main()
