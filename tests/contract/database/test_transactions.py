"""A transaction that PostgreSQL ends for another's sake is done again; any other trouble is not."""

from typing import Any

import pytest


class _State(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def _failing(times: int, sqlstate: str) -> Any:
    from django.db import OperationalError

    tries: list[int] = []

    def work() -> int:
        tries.append(1)
        if len(tries) <= times:
            raise OperationalError("no") from _State(sqlstate)
        return len(tries)

    return work


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_what_gave_way_is_done_again(database: None, sqlstate: str) -> None:
    from keystead.server.transactions import whole

    assert whole(_failing(3, sqlstate)) == 4


def test_what_always_gives_way_is_an_error(database: None) -> None:
    from django.db import OperationalError

    from keystead.server.transactions import ATTEMPTS, whole

    with pytest.raises(OperationalError):
        whole(_failing(ATTEMPTS, "40001"))


def test_other_trouble_and_what_is_inside_another_transaction_is_not_repeated(database: None) -> None:
    from django.db import OperationalError, transaction

    from keystead.server.transactions import whole

    with pytest.raises(OperationalError):
        whole(_failing(1, "08006"))
    with pytest.raises(OperationalError), transaction.atomic():
        whole(_failing(1, "40001"))


def _written(action: str) -> int:
    from keystead.server.audit.models import AuditEvent

    return AuditEvent.objects.filter(action=action).count()


def _write(action: str) -> None:
    from keystead.server.audit import operations as audit
    from keystead.server.authorization.surroundings import now

    audit.record(organization=None, actor=audit.SYSTEM, action=action, target="x", at=now())


@pytest.mark.parametrize("among_others", [False, True])
def test_what_fails_is_undone_alone_with_all_that_was_to_follow_it(database: None, among_others: bool) -> None:
    import contextlib

    from django.db import transaction

    from keystead.server.transactions import undone_alone

    followed: list[str] = []

    def part(name: str, *, fails: bool) -> None:
        with contextlib.suppress(KeyError), undone_alone():
            _write(f"test:{name}")
            transaction.on_commit(lambda: followed.append(name))
            with undone_alone():
                _write(f"test:{name}")
            if fails:
                raise KeyError(name)

    with transaction.atomic() if among_others else contextlib.nullcontext():
        part("first", fails=False)
        part("second", fails=True)
        part("third", fails=False)
        assert followed == ([] if among_others else ["first", "third"])
    assert followed == ["first", "third"]
    assert [_written(f"test:{name}") for name in ("first", "second", "third")] == [2, 0, 2]


def test_a_part_in_which_the_database_refused_something_is_undone_and_the_next_is_not(database: None) -> None:
    import contextlib

    from django.db import IntegrityError, transaction

    from keystead.server.authorization.models import Client
    from keystead.server.transactions import undone_alone

    with transaction.atomic():
        with undone_alone():
            _write("test:before")
        with contextlib.suppress(IntegrityError), undone_alone():
            _write("test:refused")
            at = Client.objects.get(client_id="keystead-cli").created_at
            Client.objects.create(client_id="keystead-cli", name="again", created_at=at)
        with undone_alone():
            _write("test:after")
    assert [_written(f"test:{name}") for name in ("before", "refused", "after")] == [1, 0, 1]
