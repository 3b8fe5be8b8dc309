"""Statements written once give what Django gives; these tests are what breaks when Django's inside changes."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

AT = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def token(administrator: Any) -> str:
    from keystead.server.authorization import clients, sign_ins

    approval = sign_ins.Approval(clients.find("keystead-cli"), administrator, "openid offline_access")
    begun = sign_ins.begin(approval, "laptop", AT).refresh_token
    assert begun is not None
    return begun


def values(one: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(one).items() if name != "_state"}


def test_an_object_is_the_one_that_django_makes(token: str) -> None:
    from django.db.models import BinaryField

    from keystead.server.authorization.models import RefreshToken
    from keystead.server.statements import Parameter, Prepared
    from keystead.wire import tokens

    related = RefreshToken.objects.select_related(
        "grant__client", "grant__membership__person", "grant__service_account"
    )
    prepared = Prepared(lambda: related.filter(digest=Parameter("digest", BinaryField())))
    found, expected = prepared.first(digest=tokens.digest(token)), related.get(digest=tokens.digest(token))
    assert found is not None
    for path in ("", "grant", "grant.client", "grant.membership", "grant.membership.person"):
        ours, theirs = found, expected
        for name in filter(None, path.split(".")):
            ours, theirs = getattr(ours, name), getattr(theirs, name)
        assert values(ours) == values(theirs), path
        assert type(ours) is type(theirs)
        assert (ours._state.adding, ours._state.db) == (theirs._state.adding, theirs._state.db)
        assert set(ours._state.fields_cache) == set(theirs._state.fields_cache), path
    assert found.grant.service_account is None


def test_what_was_left_out_is_read_when_it_is_asked_for(token: str) -> None:
    from keystead.server.authorization.models import RefreshToken
    from keystead.server.statements import Prepared

    found = Prepared(lambda: RefreshToken.objects.select_related("grant").defer("created_at", "grant__label")).first()
    assert found is not None
    assert "created_at" not in vars(found)
    assert (found.created_at, found.grant.label) == (AT, "laptop")


def test_whoever_wants_to_know_of_new_objects_is_told(token: str) -> None:
    from django.db import connection
    from django.db.models.signals import post_init

    from keystead.server.authorization.models import RefreshToken
    from keystead.server.statements import Prepared

    told = []

    def hear(sender: Any, instance: Any, **_: Any) -> None:
        told.append(instance)

    connection.close()
    post_init.connect(hear, sender=RefreshToken)
    try:
        found = Prepared(RefreshToken.objects.all).first()
    finally:
        post_init.disconnect(hear, sender=RefreshToken)
    assert told == [found]


def test_whoever_listens_to_the_statements_hears_them(token: str) -> None:
    from django.db import connection

    from keystead.server.authorization.models import RefreshToken
    from keystead.server.statements import Prepared

    heard = []

    def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        heard.append(sql.split()[0])
        return execute(sql, params, many, context)

    prepared = Prepared(RefreshToken.objects.all)
    prepared.first()
    with connection.execute_wrapper(listen):
        prepared.first()
    assert heard == ["SELECT"]


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_a_row_that_is_stored_is_the_row_that_is_read(administrator: Any, zone: Any) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.authorization.models import RefreshToken, SpentAssertion
    from keystead.server.statements import insert, store

    moment = AT.astimezone(zone)
    details = {"text": 'ä "quoted" %s', "number": 1, "flag": True, "none": None}
    event = insert(
        AuditEvent(organization=None, actor="x", action="test:write", target="y", at=moment, details=details)
    )
    read = AuditEvent.objects.get(pk=event.pk)
    assert (read.at, read.details, read.organization_id) == (AT, details, None)
    store(SpentAssertion, digest=b"\x00\xff" * 16, expires_at=moment)
    assert SpentAssertion.objects.get(digest=b"\x00\xff" * 16).expires_at == AT
    assert not RefreshToken.objects.exists()


def test_a_row_is_used_up_once(token: str) -> None:
    from keystead.server.authorization.models import RefreshToken
    from keystead.server.statements import use_up

    row = RefreshToken.objects.get()
    assert [use_up(row, AT), use_up(row, AT + timedelta(seconds=1))] == [True, False]
    assert RefreshToken.objects.get().used_at == AT


def test_a_second_row_of_the_same_key_is_an_integrity_error_of_django_s(database: None) -> None:
    from django.db import IntegrityError, transaction

    from keystead.server.authorization.models import SpentAssertion
    from keystead.server.statements import store

    store(SpentAssertion, digest=b"x", expires_at=AT)
    with pytest.raises(IntegrityError), transaction.atomic():
        store(SpentAssertion, digest=b"x", expires_at=AT)


def test_a_transaction_that_broke_takes_no_more_statements(database: None) -> None:
    from django.db import transaction

    from keystead.server.authorization.models import SpentAssertion
    from keystead.server.statements import store

    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            store(SpentAssertion, digest=b"x", expires_at=AT)
    assert not SpentAssertion.objects.exists()


def test_a_fresh_object_is_the_one_that_initializing_makes(administrator: Any) -> None:
    """For models whose objects are no more than their values, and for one that wants to be initialized."""
    from keystead.server.authorization import clients
    from keystead.server.authorization.models import Grant, RefreshToken
    from keystead.server.authorization.surroundings import now
    from keystead.server.identifiers import new_id
    from keystead.server.statements import fresh

    client, at = clients.find("keystead-cli"), now()
    both = {"organization": administrator.organization, "created_at": at, "expires_at": at}
    cases: list[tuple[Any, dict[str, Any]]] = [
        (Grant, {"id": new_id(), "membership": administrator, "client": client, "scope": "openid", **both}),
        (RefreshToken, {"digest": b"x" * 32, "generation": 1, "grant_id": new_id(), **both}),
    ]
    for model, given in cases:
        ours, theirs = fresh(model, **given), model(**given)
        assert values(ours) == values(theirs)
        assert vars(ours._state) == vars(theirs._state)
