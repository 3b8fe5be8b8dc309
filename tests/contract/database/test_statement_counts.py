"""How many statements each grant costs on a server that has answered one before: the numbers may only fall."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from every_grant import (
    Form,
    Installation,
    authorization_code,
    client_credentials,
    device_code,
    installed,
    jwt_bearer,
    refresh,
    signed_in,
    token_exchange,
)


@pytest.fixture
def installation(administrator: Any) -> Iterator[Installation]:
    with installed(administrator) as one:
        yield one


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (refresh, {"SELECT": 2, "UPDATE": 1, "INSERT": 1}),
        (client_credentials, {"INSERT": 2}),
        (jwt_bearer, {"SELECT": 1, "INSERT": 3}),
        (token_exchange, {"SELECT": 1, "INSERT": 2}),
        (device_code, {"SELECT": 1, "UPDATE": 1, "INSERT": 3}),
        (authorization_code, {"SELECT": 2, "UPDATE": 2, "INSERT": 3}),
    ],
)
def test_a_grant_costs_so_many_statements(
    installation: Installation, grant: Callable[[Installation], Form], expected: dict[str, int]
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    installation.ask(**grant(installation))
    form = grant(installation)
    with CaptureQueriesContext(connection) as asked:
        installation.ask(**form)
    verbs = Counter(one["sql"].split(maxsplit=1)[0] for one in asked.captured_queries)
    assert {verb: verbs[verb] for verb in ("SELECT", "UPDATE", "INSERT", "DELETE") if verbs[verb]} == expected


def test_a_refresh_that_waits_for_nobody_asks_once(installation: Installation) -> None:
    """As SQLite answers it among others: the identity provider's part is in the same question."""
    from dataclasses import replace

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from keystead.server.authorization import clients, grants
    from keystead.server.authorization.grants.question import Question
    from keystead.server.authorization.surroundings import now

    client, moment = clients.find("keystead-cli"), now()
    for _ in range(2):
        form = {"grant_type": "refresh_token", "refresh_token": signed_in(installation)[1]}
        question = replace(Question(form, client, "", moment), at_once=True)
        with CaptureQueriesContext(connection) as asked:
            grants.exchange(question)
    statements = [one["sql"].split(maxsplit=1)[0] for one in asked.captured_queries]
    assert [one for one in statements if one in {"SELECT", "UPDATE", "INSERT"}] == ["SELECT", "UPDATE", "INSERT"]
