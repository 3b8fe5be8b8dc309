"""Make a fresh installation with sign-ins and a client of its own name, by the operations a person's clicks would call.

Reads the server's settings from the environment; the first argument says how many sign-ins. Prints JSON.
"""

import json
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta

from keystead.server import app
from keystead.server.settings import load


def main(count: int) -> None:
    """Print refresh tokens and the client."""
    app.open_database(load(os.environ), secrets.token_bytes)
    from keystead.server.authorization import clients, registry, sign_ins
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.identity import operations as identity
    from keystead.server.keys import service_accounts

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
    approval = sign_ins.Approval(clients.find("keystead-cli"), member, "openid offline_access")
    refresh = [sign_ins.begin(approval, "", now).refresh_token for _ in range(count)]
    wanted = registry.Registration(
        name="Benchmark",
        auth_method=AuthMethod.CLIENT_SECRET_BASIC,
        grant_types=["client_credentials"],
        scope="models:use",
        service_account=service_accounts.create(member, "benchmark", now=now),
    )
    client, secret = registry.register(member, wanted, now, secrets.token_bytes)
    assert secret is not None
    print(json.dumps({"refresh_tokens": refresh, "client_id": client.client_id, "client_secret": secret.reveal()}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
