"""Workloads on both databases: one identity used by many at once, one owner per sign-in, and the ledger."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from issuers import TokenIssuer

from keystead.wire import ids

CROWD = 64
PLATFORM = TokenIssuer("https://builds.example.com")


@pytest.fixture
def account(administrator: Any) -> Any:
    """A service account that the platform's identities may act as."""
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import issuer, now
    from keystead.server.keys import federation, service_accounts
    from keystead.server.keys.models import KeySource
    from keystead.server.policy.federation import parse_conditions

    keys.signing_key(now())
    account = service_accounts.create(administrator, "deploy", now=now())
    wanted = federation.Issuer("builds", PLATFORM.url, issuer(), KeySource.INLINE, jwks=PLATFORM.jwks)
    trusted = federation.create_issuer(administrator, wanted, now())
    rule = federation.Rule("deploys", trusted, account, parse_conditions("repository = acme/app"), "models:use")
    federation.create_rule(administrator, rule, now())
    return account


def exchange(account: Any, token: str) -> str:
    """Return ``token``, or the error, of one exchange."""
    from keystead.server.authorization import grants
    from keystead.server.authorization.grants.question import Question
    from keystead.server.authorization.refusals import Refusal
    from keystead.server.authorization.surroundings import now
    from keystead.server.transactions import whole

    asked = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": token,
        "organization_id": str(account.organization_id),
    }
    try:
        whole(lambda: grants.exchange(Question(asked, None, "", now())))
    except Refusal as refusal:
        return refusal.error
    return "token"


def test_of_64_uses_of_one_identity_one_wins(account: Any) -> None:
    from django.db import connection

    from keystead.server.authorization.models import Grant
    from keystead.server.authorization.surroundings import now

    token = PLATFORM.token(now=now().timestamp())
    start = threading.Barrier(CROWD)

    def use(_: int) -> str:
        start.wait()
        try:
            return exchange(account, token)
        finally:
            connection.close()

    with ThreadPoolExecutor(CROWD) as pool:
        assert Counter(pool.map(use, range(CROWD))) == {"token": 1, "invalid_grant": CROWD - 1}
    assert Grant.objects.count() == 1


def test_a_sign_in_has_one_owner(account: Any, administrator: Any) -> None:
    from django.db import IntegrityError, transaction

    from keystead.server.authorization.models import Grant
    from keystead.server.authorization.surroundings import now

    assert exchange(account, PLATFORM.token(now=now().timestamp())) == "token"
    for change in ({"membership": administrator}, {"service_account": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Grant.objects.update(**change)


def test_the_ledger_knows_service_accounts(account: Any) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.usage.ledger import store
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.record import UsageRecord

    organization = ids.dump("organization", account.organization_id)
    workspace = ids.dump("workspace", account.workspace_id)
    counts = (10, 20, 0, 0, False, False, False)
    values: list[Any] = [UUID(int=1).hex, "req_1", organization, workspace, "", "session", "gra_1", "sdk", "", "test"]
    values += ["m", 200, now().timestamp(), 5, *counts, account.wire_id]
    store([UsageRecord(*values)])
    entry = UsageEntry.objects.get()
    assert (entry.member_id, entry.service_account_id) == (None, account.id)
