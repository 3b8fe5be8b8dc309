"""The first administrator is made exactly once, by a code that works exactly once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from threading import Barrier, Thread
from typing import Any

import pytest

from keystead.errors import CredentialRejected, KeysteadError, UsageError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.usefixtures("database")


def new_code(now: datetime = NOW) -> str:
    from keystead.server.identity import operations

    code = operations.new_setup_code(now, token_bytes, HOUR)
    assert code is not None
    return code


def create(code: str, **changes: Any) -> Any:
    from keystead.server.identity import operations

    given: dict[str, Any] = {
        "email": " Ada@Example.com ",
        "password": "correct horse battery",
        "name": "Ada",
        "organization_name": "Example",
        "now": NOW,
    }
    return operations.create_first_administrator(code=code, **(given | changes))


def test_the_code_makes_an_administrator_with_an_organization_and_a_workspace() -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.organizations import operations as organizations

    member = create(new_code())
    assert (member.role, member.person.email, member.organization.name) == ("admin", "ada@example.com", "Example")
    assert member.person.check_password("correct horse battery")
    assert member.person.password.startswith("argon2$")
    assert organizations.default_workspace(member.organization).name == "Default"
    assert organizations.membership_of(member.person) == member
    assert [event.action for event in AuditEvent.objects.all()] == ["organization:create"]


def test_no_code_is_made_when_there_is_an_administrator() -> None:
    from keystead.server.identity import operations

    create(new_code())
    assert operations.new_setup_code(NOW, token_bytes, HOUR) is None


def test_the_code_is_stored_as_its_hash_only(database: Path) -> None:
    code = new_code()
    assert code.encode() not in database.read_bytes()


def refused(code: str, **changes: Any) -> KeysteadError:
    from keystead.server.identity.models import Person

    before = Person.objects.count()
    with pytest.raises(KeysteadError) as caught:
        create(code, **changes)
    assert Person.objects.count() == before
    assert code not in caught.value.message
    return caught.value


def test_a_used_code_is_refused() -> None:
    code = new_code()
    create(code)
    assert "already has its first administrator" in refused(code).message


def test_an_older_code_stops_working_when_a_newer_one_is_made() -> None:
    older, newer = new_code(), new_code()
    assert "unknown" in refused(older).message
    create(newer)


def test_an_expired_code_says_how_long_ago() -> None:
    error = refused(new_code(NOW - timedelta(hours=4)))
    assert error.message == "This set-up code expired 3 h ago."
    assert error.hint is not None
    assert "setup-link" in error.hint


DAMAGES = (lambda code: code[:-3], lambda code: code[:9] + "_" + code[10:], lambda _: "open sesame")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_miscopied_code_is_named_as_such(damage: Any) -> None:
    error = refused(damage(new_code()))
    assert isinstance(error, CredentialRejected)
    assert error.message.startswith("This is not a set-up code: ")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("password", "short", "fewer than 12 characters"),
        ("password", "qwertyuiop123", "most common passwords"),
        ("password", "ada@example.com", "belong to this place"),
        ("email", "nobody", "valid email"),
        ("name", "  ", "both needed"),
        ("organization_name", "", "both needed"),
    ],
)
def test_bad_input_names_the_field_and_leaves_the_code_usable(field: str, value: str, says: str) -> None:
    code = new_code()
    error = refused(code, **{field: value})
    assert isinstance(error, UsageError)
    assert says in error.message
    create(code)


def test_of_many_at_once_exactly_one_becomes_the_administrator() -> None:
    from django.db import connection

    from keystead.server.identity.models import Person

    code, start, outcomes = new_code(), Barrier(6), []

    def attempt(number: int) -> None:
        start.wait()
        try:
            create(code, email=f"person{number}@example.com")
            outcomes.append("made")
        except CredentialRejected:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [Thread(target=attempt, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made"] + ["refused"] * 5
    assert Person.objects.count() == 1
