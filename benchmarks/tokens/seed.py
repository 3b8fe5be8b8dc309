"""Make a fresh installation with sign-ins and a client of its own name, by the operations a person's clicks would call.

Reads the server's settings from the environment, and from standard input ``{count, issuer, key}``: how many sign-ins,
and whose signed JWTs are to be accepted. Prints JSON.
"""

import json
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from keystead.server import installation
from keystead.server.settings import load

AUDIENCE: Final = "https://keystead.example.com"


def main(told: dict[str, Any]) -> None:
    """Print refresh tokens, the client, and what a workload sends beside its JWT."""
    installation.open_database(load(os.environ), secrets.token_bytes)
    from keystead.server.authorization import clients, registry, sign_ins
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.identity import operations as identity
    from keystead.server.keys import federation, service_accounts
    from keystead.server.keys.models import KeySource
    from keystead.server.policy.federation import parse_conditions

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
    refresh = [sign_ins.begin(approval, "", now).refresh_token for _ in range(told["count"])]
    account = service_accounts.create(member, "benchmark", now=now)
    keys = {"keys": [told["key"]]}
    trusted = federation.Issuer("builds", told["issuer"], AUDIENCE, KeySource.INLINE, jwks=keys)
    issuer = federation.create_issuer(member, trusted, now)
    accepted = parse_conditions("sub ^= repo:acme/app:")
    rule = federation.create_rule(member, federation.Rule("builds", issuer, account, accepted, "models:use"), now)
    wanted = registry.Registration(
        name="Benchmark",
        auth_method=AuthMethod.CLIENT_SECRET_BASIC,
        grant_types=["client_credentials"],
        scope="models:use",
        service_account=account,
    )
    client, secret = registry.register(member, wanted, now, secrets.token_bytes)
    assert secret is not None
    workload = {"organization_id": str(rule.organization_id), "federation_rule_id": rule.wire_id}
    known = {"client_id": client.client_id, "client_secret": secret.reveal()}
    print(json.dumps({"refresh_tokens": refresh, "audience": AUDIENCE, "workload": workload, **known}))


if __name__ == "__main__":
    main(json.load(sys.stdin))
