"""Workloads on both databases: one identity used by many at once, one owner per sign-in, and the ledger."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from direct_way import Got, Sent, ask, asked_at_once, direct_way
from issuers import TokenIssuer, running_issuer

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


def signed(number: int) -> str:
    from keystead.server.authorization.surroundings import now

    return PLATFORM.token(now=now().timestamp(), jti=f"number {number}")


def shown(account: Any, token: str) -> Sent:
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    form = {"grant_type": grant, "assertion": token, "organization_id": str(account.organization_id)}
    return Sent("/v1/oauth/token", form)


def test_identities_that_come_at_once_are_taken_each_once(account: Any) -> None:
    """Both those that are answered together and the one that is sent by many."""
    from keystead.server.authorization.models import Grant, SpentAssertion

    answers = asked_at_once([shown(account, signed(number)) for number in range(CROWD)])
    assert Counter(one.status for one in answers) == {200: CROWD}
    assert Grant.objects.count() == SpentAssertion.objects.count() == CROWD
    again = asked_at_once([shown(account, signed(CROWD))] * CROWD)
    assert Counter(one.status for one in again) == {200: 1, 400: CROWD - 1}
    assert Grant.objects.count() == CROWD + 1


def test_nobody_waits_while_the_keys_of_an_issuer_are_fetched(administrator: Any, account: Any) -> None:
    """The platform answers only once everybody else has been answered."""
    from keystead.server.authorization.surroundings import issuer, now
    from keystead.server.keys import federation
    from keystead.server.keys.models import KeySource
    from keystead.server.policy.federation import parse_conditions

    seen: list[bool] = []
    others, tokens = threading.Event(), [signed(number) for number in range(8)]

    async def story(platform: TokenIssuer) -> tuple[list[Got], Got]:
        async with direct_way() as way:
            slow = asyncio.create_task(ask(way, shown(account, platform.token(now=now().timestamp()))))
            quick = list(await asyncio.gather(*(ask(way, shown(account, token)) for token in tokens)))
            others.set()
            return quick, await slow

    with running_issuer(lambda: seen.append(others.wait(60))) as platform:
        wanted = federation.Issuer("slow", platform.url, issuer(), KeySource.DISCOVERY)
        trusted = federation.create_issuer(administrator, wanted, now())
        rule = federation.Rule("slow", trusted, account, parse_conditions("repository = acme/app"), "models:use")
        federation.create_rule(administrator, rule, now())
        quick, slow = asyncio.run(story(platform))
    assert [one.status for one in (*quick, slow)] == [200] * 9
    assert seen == [True], "the others were answered before the keys came"


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
