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
