"""Service accounts: who may make and end them, and that they show in the reports."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from keystead.errors import PolicyDenied, UsageError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def developer(administrator: Any) -> Any:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("dev@example.com", None, created_at=NOW)
    return organizations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


@pytest.fixture
def stranger(administrator: Any) -> Any:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("eve@example.com", None, created_at=NOW)
    return organizations.add_member(organizations.create_organization("Other", NOW), person, Role.ADMIN, NOW)


def test_it_is_made_audited_and_ended_once(administrator: Any) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.keys import service_accounts

    account = service_accounts.create(administrator, " deploy ", now=NOW)
    assert (account.name, account.role, account.workspace.is_default) == ("deploy", "agent_user", True)
    assert service_accounts.find(administrator, account.wire_id) == account
    assert service_accounts.disable(account, administrator, NOW)
    assert not service_accounts.disable(account, administrator, NOW)
    actions = list(AuditEvent.objects.order_by("id").values_list("action", "target"))
    assert actions == [("service_account:create", account.wire_id), ("service_account:disable", account.wire_id)]
    assert service_accounts.create(administrator, "deploy", now=NOW) != account, "the name is free again"


def test_what_will_not_do_is_refused(administrator: Any, stranger: Any) -> None:
    from keystead.server.keys import service_accounts
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    service_accounts.create(administrator, "deploy", now=NOW)
    for name in ("", " ", "x" * 101, "a\nb", "deploy"):
        with pytest.raises(UsageError):
            service_accounts.create(administrator, name, now=NOW)
    with pytest.raises(UsageError):
        service_accounts.create(administrator, "root", role=Role.ADMIN, now=NOW)
    elsewhere = organizations.default_workspace(stranger.organization)
    with pytest.raises(UsageError):
        service_accounts.create(administrator, "there", workspace=elsewhere, now=NOW)


def test_only_the_organization_s_administrators_manage_them(administrator: Any, developer: Any, stranger: Any) -> None:
    from keystead.server.keys import service_accounts

    account = service_accounts.create(administrator, "deploy", now=NOW)
    with pytest.raises(PolicyDenied):
        service_accounts.create(developer, "mine", now=NOW)
    with pytest.raises(PolicyDenied):
        service_accounts.disable(account, developer, NOW)
    assert not service_accounts.disable(account, stranger, NOW)
    assert [list(service_accounts.list_for(one)) for one in (administrator, developer, stranger)] == [[account], [], []]
    assert service_accounts.find(stranger, account.wire_id) is None
    assert service_accounts.find(administrator, "svac_x") is None


def test_its_usage_is_a_line_of_its_own(administrator: Any) -> None:
    from keystead.server.keys import service_accounts
    from keystead.server.usage import ledger, operations
    from keystead.server.usage.record import UsageRecord
    from keystead.wire import ids

    account = service_accounts.create(administrator, "deploy", now=NOW)
    organization = ids.dump("organization", account.organization_id)
    workspace = ids.dump("workspace", account.workspace_id)
    rest = ("session", "gra_1", "sdk", "", "test", "m", 200, NOW.timestamp(), 5, 10, 20, 0, 0, False, False, False)
    owned = [
        (ids.dump("membership", administrator.id), ""),
        ("", account.wire_id),
    ]
    ledger.store(
        [
            UsageRecord(UUID(int=number).hex, f"req_{number}", organization, workspace, person, *rest, service)
            for number, (person, service) in enumerate(owned, start=1)
        ]
    )
    report = operations.usage_of(administrator, NOW)
    assert {line.label: line.tokens for line in report.by_member} == {
        "ada@example.com": 30,
        "deploy (service account)": 30,
    }
