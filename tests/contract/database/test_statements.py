"""Statements written once behave as those that Django writes for each request, on every database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from races import together

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture
def grant(administrator: Any) -> Any:
    from keystead.server.authorization import clients, sign_ins

    approval = sign_ins.Approval(clients.find("keystead-cli"), administrator, "openid")
    return sign_ins.begin(approval, "a label", NOW).grant


def stored(grant: Any, digest: bytes = b"d" * 32) -> Any:
    from keystead.server.authorization.models import RefreshToken
    from keystead.server.statements import insert

    return insert(
        RefreshToken(
            digest=digest,
            organization_id=grant.organization_id,
            grant=grant,
            generation=2,
            created_at=NOW,
            expires_at=NOW + timedelta(days=1),
        )
    )


def test_what_is_inserted_is_what_django_reads(grant: Any) -> None:
    from keystead.server.authorization.models import RefreshToken

    row = stored(grant)
    found = RefreshToken.objects.get(pk=row.pk)
    names = [field.attname for field in RefreshToken._meta.concrete_fields if field.attname != "digest"]
    assert [getattr(found, name) for name in names] == [getattr(row, name) for name in names]
    assert bytes(found.digest) == row.digest


def test_a_taken_key_is_refused(grant: Any) -> None:
    from django.db import IntegrityError, transaction

    stored(grant)
    with pytest.raises(IntegrityError), transaction.atomic():
        stored(grant)


def test_a_prepared_query_finds_what_the_query_finds_with_its_relations(grant: Any) -> None:
    from django.db import connection
    from django.db.models import DateTimeField, UUIDField
    from django.test.utils import CaptureQueriesContext

    from keystead.server.authorization.models import Grant
    from keystead.server.statements import Parameter, Prepared

    related = Grant.objects.select_related("client", "membership__person", "service_account")
    living = Prepared(
        lambda: related.filter(pk=Parameter("key", UUIDField()), expires_at__gt=Parameter("now", DateTimeField()))
    )
    for _ in range(2):  # the first compiles, the second uses what was compiled
        with CaptureQueriesContext(connection) as asked:
            found = living.first(key=grant.pk, now=NOW)
            assert found is not None
            assert (found, found.act, found.service_account) == (grant, None, None)
            assert found.membership is not None
            assert found.client.grant_types == grant.client.grant_types
            assert found.membership.person == grant.membership.person
        assert len(asked) == 1
    assert living.first(key=grant.pk, now=grant.expires_at) is None
    assert living.all(key=grant.organization_id, now=NOW) == []


def test_of_many_who_use_a_row_up_at_once_one_wins(grant: Any) -> None:
    from keystead.server.authorization.models import RefreshToken
    from keystead.server.statements import use_up
    from keystead.server.transactions import turn

    row = stored(grant)

    def act(_client: Any) -> bool:
        with turn():
            return use_up(row, NOW)

    assert sum(together(act)) == 1
    assert RefreshToken.objects.get(pk=row.pk).used_at == NOW
