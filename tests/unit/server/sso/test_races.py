"""Many at once: one answer of the provider signs in once, one assertion is taken once, one newcomer is one person."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from keystead.server.sso.models import Connection

THREADS = 16


def together(act: Callable[[int], Any]) -> list[Any]:
    """Call ``act`` in many threads at the same moment, each with its own database connection."""
    from django.db import connections

    barrier = Barrier(THREADS)

    def one(number: int) -> Any:
        barrier.wait()
        try:
            return act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


@pytest.mark.requirement("sso races")
def test_of_many_uses_of_one_answer_one_signs_in(visit: Any) -> None:
    from django.test import Client

    state = visit.leave()["state"]
    address = f"/oauth/callback/{visit.connection.wire_id}?code=c&state={state}&iss={visit.provider.issuer}"
    cookies = visit.browser.cookies.output(header="", sep=";").strip()
    name, _, value = cookies.partition(";")[0].partition("=")

    def come_back(_: int) -> int:
        browser = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")
        browser.cookies[name.strip()] = value
        return int(browser.get(address).status_code)

    assert sorted(together(come_back)) == [302] + [403] * (THREADS - 1)


def test_of_many_copies_of_one_assertion_one_is_taken(connection: "Connection") -> None:
    from keystead.server.sso import replays
    from keystead.server.sso.faults import SignInFault

    now = datetime.now(UTC)

    def take(_: int) -> bool:
        try:
            replays.take(connection, "_assertion-1", now + timedelta(minutes=5), now)
        except SignInFault:
            return False
        return True

    assert together(take).count(True) == 1


def test_a_newcomer_in_many_browsers_at_once_is_one_person(connection: "Connection") -> None:
    from keystead.server.identity.models import Person
    from keystead.server.organizations.models import Group, Membership
    from keystead.server.sso import sign_in
    from keystead.server.sso.asserted import Asserted
    from keystead.server.sso.models import Identity

    said = Asserted("grace-1", "grace@example.com", True, "Grace", ("engineers",), {})
    people = {identity.person_id for identity in together(lambda _: sign_in.admit(connection, said, datetime.now(UTC)))}

    assert len(people) == 1
    assert Person.objects.filter(email="grace@example.com").count() == 1
    assert (Identity.objects.count(), Membership.objects.count(), Group.objects.count()) == (1, 2, 1)
