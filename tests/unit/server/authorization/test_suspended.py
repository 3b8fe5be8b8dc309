"""Who is suspended gets no token, by whatever grant, and the same request is granted once that is lifted (S-23)."""

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

Grant = Callable[[Installation], Form]

OF_PEOPLE = [
    (refresh, 401, "invalid_grant"),
    (device_code, 400, "access_denied"),
    (authorization_code, 400, "invalid_grant"),
    (token_exchange, 400, "invalid_request"),
]
OF_SERVICES = [(client_credentials, 400, "unauthorized_client"), (jwt_bearer, 400, "invalid_grant")]


@pytest.fixture
def installation(administrator: Any, clock: Any) -> Iterator[Installation]:
    with installed(administrator) as one:
        yield one


def suspend(one: Installation, subject: str, reason: str = "Sold a sign-in.") -> None:
    """Suspend as an administrator does, whom nobody of the installation is."""
    from keystead.server.authorization.surroundings import now
    from keystead.server.suspensions import operations

    assert operations.suspend(another(one), subject, reason, now())


def lift(one: Installation, subject: str) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.suspensions import operations

    assert operations.lift(another(one), subject, now())


def another(one: Installation) -> Any:
    from keystead.server.authorization.surroundings import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.models import Membership
    from keystead.server.organizations.roles import Role

    found = Membership.objects.filter(person__email="bo@example.com").first()
    if found is not None:
        return found
    person = Person.objects.create_user("bo@example.com", None, created_at=now())
    return operations.add_member(one.member.organization, person, Role.ADMIN, now())


def refused(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]


@pytest.fixture
def member(installation: Installation) -> str:
    from keystead.server.organizations.models import Membership
    from keystead.wire import ids

    Membership.objects.filter(pk=installation.member.pk).update(role="developer")  # whom an administrator may suspend
    installation.member.refresh_from_db()
    return ids.dump("membership", installation.member.pk)


@pytest.mark.requirement("S-23 tokens")
@pytest.mark.parametrize(("grant", "status", "error"), OF_PEOPLE)
def test_a_suspended_member_gets_no_token(
    installation: Installation, member: str, grant: Grant, status: int, error: str
) -> None:
    form = grant(installation)
    suspend(installation, member)
    answer = installation.reply(**form)
    assert refused(answer) == (status, error)
    told = "Your membership is suspended: Sold a sign-in. Ask an administrator to lift it."
    assert answer[1]["error_description"] == told
    lift(installation, member)
    installation.ask(**form)


@pytest.mark.requirement("S-23 tokens")
@pytest.mark.parametrize(("grant", "status", "error"), OF_SERVICES)
def test_a_suspended_service_account_gets_no_token(
    installation: Installation, grant: Grant, status: int, error: str
) -> None:
    form, account = grant(installation), installation.account.wire_id
    suspend(installation, account)
    answer = installation.reply(**form)
    assert refused(answer) == (status, error)
    assert answer[1]["error_description"].startswith("This service account is suspended: Sold a sign-in.")
    lift(installation, account)
    installation.ask(**form)


@pytest.mark.requirement("S-23 tokens")
@pytest.mark.parametrize(("grant", "status", "error"), [*OF_PEOPLE, *OF_SERVICES])
def test_a_suspended_client_gets_no_token(installation: Installation, grant: Grant, status: int, error: str) -> None:
    form = grant(installation)
    client = form.get("client_id", "workload")
    suspend(installation, client)
    answer = installation.reply(**form)
    assert refused(answer) == (status, error)
    assert answer[1]["error_description"].startswith("This client is suspended: Sold a sign-in.")
    lift(installation, client)
    installation.ask(**form)


@pytest.mark.requirement("S-23 tokens")
def test_the_tokens_of_before_are_told_as_inactive_for_as_long(installation: Installation, member: str) -> None:
    token = signed_in(installation)[0]
    asked = {"token": token, **installation.exchanger}
    assert installation.ask("introspect", **asked)["active"]
    for subject in (member, "keystead-cli"):
        suspend(installation, subject)
        assert installation.ask("introspect", **asked) == {"active": False}
        lift(installation, subject)
        assert installation.ask("introspect", **asked)["active"]


@pytest.mark.requirement("S-23 tokens")
def test_nobody_acts_for_people_of_a_suspended_client(installation: Installation) -> None:
    form = token_exchange(installation)
    suspend(installation, "keystead-cli")
    assert refused(installation.reply(**form)) == (400, "invalid_request")


@pytest.mark.requirement("S-23 tokens")
def test_another_organization_s_suspension_is_its_own(installation: Installation) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.organizations.models import Organization
    from keystead.server.suspensions.models import Suspension

    elsewhere = Organization.objects.create(name="Elsewhere", created_at=now())
    Suspension.objects.create(organization=elsewhere, subject="keystead-cli", reason="Not here", at=now())
    assert installation.ask(**refresh(installation))["token_type"] == "Bearer"


@pytest.mark.requirement("S-23 tokens")
@pytest.mark.parametrize("reason", ['said "no"', "a\\b", "gelöscht", "停止"])
def test_a_reason_that_may_not_stand_in_the_answer_is_left_out(installation: Installation, reason: str) -> None:
    form = client_credentials(installation)
    suspend(installation, installation.account.wire_id, reason)
    told = installation.reply(**form)[1]["error_description"]
    assert told == "This service account is suspended. Ask an administrator to lift it."


@pytest.mark.requirement("S-23 tokens")
def test_one_reply_is_as_dear_as_before(installation: Installation, member: str) -> None:
    """Whether somebody is suspended is known, not asked, on a server that hears of changes."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    suspend(installation, member)
    installation.reply(**client_credentials(installation))
    with CaptureQueriesContext(connection) as asked:
        installation.ask(**client_credentials(installation))
    assert not [one["sql"] for one in asked.captured_queries if "suspension" in one["sql"]]
