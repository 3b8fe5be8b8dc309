"""Policies are kept in versions and an order, by who may, and deliver what the rules say."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from keystead.errors import PolicyDenied, UsageError
from keystead.server.organizations.roles import Role
from keystead.server.policy import Principal, PrincipalKind
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Group, Membership
    from keystead.server.policies.models import Policy

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LARGE = '{"availableModels": ["large"]}'


def write(member: "Membership", name: str, settings: str = "{}", **more: Any) -> "Policy":
    from keystead.server.policies import operations

    return operations.create(member, operations.Draft(name, settings, **more), NOW)


def given(member: "Membership") -> Any:
    from keystead.server.policies import operations

    found = operations.delivery_to(member)
    return None if found is None else found.settings


@pytest.fixture
def developer(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    person = Person.objects.create_user("bo@partner.example", None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


@pytest.fixture
def platform(administrator: "Membership", developer: "Membership") -> "Group":
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    made = groups.create(administrator.organization, "Platform", source=GroupSource.CONSOLE, actor="per_1", now=NOW)
    groups.set_members(made, [developer], "per_1", NOW)
    return made


def test_a_member_is_given_the_first_match_over_the_base(
    administrator: "Membership", developer: "Membership", platform: "Group"
) -> None:
    assert given(developer) is None
    write(administrator, "Base", '{"model": "small", "permissions": {"deny": ["a"]}}')
    write(administrator, "Platform", '{"permissions": {"deny": ["b"]}}', groups=(platform,))
    write(administrator, "Partners", '{"model": "never asked"}', email_domain="Partner.example")
    assert given(developer) == {"model": "small", "permissions": {"deny": ["a", "b"]}}
    assert given(administrator) == {"model": "small", "permissions": {"deny": ["a"]}}


def test_the_order_decides_and_can_be_changed(
    administrator: "Membership", developer: "Membership", platform: "Group"
) -> None:
    from keystead.server.policies import operations

    write(administrator, "Platform", '{"model": "first"}', groups=(platform,))
    partners = write(administrator, "Partners", '{"model": "second"}', email_domain="partner.example")
    operations.move(administrator, partners, True, NOW)
    assert given(developer) == {"model": "second"}
    operations.move(administrator, partners, True, NOW)
    operations.move(administrator, partners, False, NOW)
    assert given(developer) == {"model": "first"}


def test_each_change_is_a_version_and_the_slower_of_two_is_told(administrator: "Membership") -> None:
    from keystead.server.policies import operations
    from keystead.server.policies.models import PolicyVersion

    policy = write(administrator, "Base")
    operations.update(administrator, policy, operations.Draft("Base", LARGE), 1, NOW)
    with pytest.raises(UsageError, match="Somebody changed this policy meanwhile"):
        operations.update(administrator, policy, operations.Draft("Base", "{}"), 1, NOW)
    assert given(administrator) == json.loads(LARGE)
    operations.remove(administrator, policy, NOW)
    assert given(administrator) is None
    kept = PolicyVersion.objects.order_by("version").values_list("version", "settings")
    assert list(kept) == [(1, {}), (2, json.loads(LARGE))], "what was in force stays on record"


@pytest.mark.parametrize(
    ("draft", "said"),
    [
        ({"name": " "}, "1 to 100 printable"),
        ({"name": "Base"}, "already a policy called Base"),
        ({"settings": "{"}, "is not JSON"),
        ({"settings": '{"availableModels": "large"}'}, "availableModels must be a list of strings"),
        ({"email_domain": "a@example.com"}, "domain is not one"),
        ({"settings": '{\n"env": {"K": "sk-ant-api03-4f9a8b7c6d5e4f3a2b1c0d"}}'}, "Line 2 .* an Anthropic API key"),
    ],
)
def test_what_will_not_do_is_named_and_not_kept(administrator: "Membership", draft: dict[str, str], said: str) -> None:
    from keystead.server.policies.models import Policy

    write(administrator, "Base")
    with pytest.raises(UsageError, match=said) as refused:
        write(administrator, **{"name": "New", **draft})
    assert "4f9a8b7c" not in f"{refused.value.message} {refused.value.hint}"
    assert Policy.objects.count() == 1


def test_another_organizations_group_and_a_role_that_may_not_are_refused(
    administrator: "Membership", developer: "Membership"
) -> None:
    from keystead.server.organizations import groups, operations
    from keystead.server.organizations.models import GroupSource

    elsewhere = operations.create_organization("Elsewhere", NOW)
    theirs = groups.create(elsewhere, "Theirs", source=GroupSource.CONSOLE, actor="per_1", now=NOW)
    with pytest.raises(UsageError, match="not of this organization"):
        write(administrator, "New", groups=(theirs,))
    with pytest.raises(PolicyDenied, match="may not manage policies"):
        write(developer, "New")


def test_the_gateway_asks_for_its_caller(administrator: "Membership", developer: "Membership") -> None:
    from keystead.server.policies import operations

    def caller(member_id: str | None) -> Principal:
        organization = ids.dump("organization", administrator.organization_id)
        return Principal(PrincipalKind.SESSION, "gra_1", organization, "wrk_1", member_id)

    assert operations.delivery(caller(None)) is None
    write(administrator, "Base", LARGE)
    write(administrator, "Partners", '{"model": "p"}', email_domain="partner.example")
    for_account = operations.delivery(caller(None))
    for_member = operations.delivery(caller(ids.dump("membership", developer.pk)))
    assert for_account is not None
    assert for_member is not None
    assert (for_account.settings, for_member.settings) == (
        {"availableModels": ["large"]},
        {"availableModels": ["large"], "model": "p"},
    )


def test_the_operator_sees_what_somebody_is_given(administrator: "Membership", monkeypatch: Any) -> None:
    from click.testing import CliRunner

    from keystead.server import app, command

    monkeypatch.setattr(app, "open_database", lambda *_: None)
    write(administrator, "Base", LARGE)
    shown = CliRunner().invoke(command.server, ["policy-test", "--as", "ADA@example.com"])
    assert shown.output.startswith("ada@example.com in Example, from Base:\n{\n")
    (member,) = json.loads(
        CliRunner().invoke(command.server, ["policy-test", "--as", "ada@example.com", "--json"]).output
    )["members"]
    assert member["settings"] == json.loads(LARGE)
    assert member["checksum"].startswith("sha256:")
    nobody = CliRunner().invoke(command.server, ["policy-test", "--as", "eve@example.com"])
    assert isinstance(nobody.exception, UsageError)


def test_the_console_writes_orders_previews_and_removes(administrator: "Membership", platform: "Group") -> None:
    from django.test import Client

    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(administrator.person)
    assert "There is no policy yet" in web.get("/policies").content.decode()
    typed = {"name": "Platform", "groups": [ids.dump("group", platform.pk)], "email_domain": "", "settings": LARGE}
    assert web.post("/policies/new", typed).headers["Location"] == "/policies"
    bad = web.post("/policies/new", {**typed, "name": "Other", "settings": "[]"})
    assert bad.status_code == 422
    assert "must be a JSON object" in bad.content.decode()

    policy = administrator.organization.policies.get()
    page = f"/policies/{policy.wire_id}"
    assert "large" in web.get(page).content.decode()
    assert web.post(page, {**typed, "settings": "{}", "version": "1"}).status_code == 302
    assert web.post(page, {**typed, "settings": LARGE, "version": "1"}).status_code == 422
    developer = platform.members.get()
    preview = web.get("/policies", {"as": ids.dump("membership", developer.pk)}).content.decode()
    assert "From “Platform”" in preview
    assert (
        "no policy is for this member"
        in web.get("/policies", {"as": ids.dump("membership", administrator.pk)}).content.decode()
    )
    assert web.post(f"{page}/move", {"to": "earlier"}).status_code == 302
    assert web.post(f"{page}/remove").status_code == 302
    assert "There is no policy yet" in web.get("/policies").content.decode()


def test_a_policy_whose_groups_are_gone_does_not_become_everybodys(
    administrator: "Membership", developer: "Membership", platform: "Group"
) -> None:
    from django.test import Client

    from keystead.server.organizations import groups
    from keystead.server.policies import operations

    policy = write(administrator, "Platform", LARGE, groups=(platform,))
    write(administrator, "Platform at partners", LARGE, groups=(platform,), email_domain="partner.example")
    assert given(developer) == json.loads(LARGE)
    groups.remove(platform, "per_1", NOW)
    assert given(developer) is None
    assert given(administrator) is None
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(administrator.person)
    assert web.get("/policies").content.decode().count("nobody, its groups are gone") == 2

    operations.update(administrator, policy, operations.Draft("Platform", LARGE), 1, NOW)
    assert given(administrator) == json.loads(LARGE), "who saves it without a group means everybody"


def test_policies_from_before_know_whether_they_are_for_groups(administrator: "Membership", platform: "Group") -> None:
    from importlib import import_module

    from django.apps import apps
    from django.db import connection

    from keystead.server.policies.models import Policy

    write(administrator, "Platform", LARGE, groups=(platform,))
    write(administrator, "Base", LARGE)
    Policy.objects.update(for_groups=False)
    migration = import_module("keystead.server.policies.migrations.0002_for_groups")
    migration.note(apps, connection.schema_editor())
    assert dict(Policy.objects.values_list("name", "for_groups")) == {"Platform": True, "Base": False}


@pytest.mark.parametrize("path", ["/policies", "/policies/new", "/policies/pol_x", "/policies/pol_x/remove"])
def test_who_may_not_manage_policies_sees_none(developer: "Membership", path: str) -> None:
    from django.test import Client

    web: Client = Client(SERVER_NAME="127.0.0.1")
    web.force_login(developer.person)
    assert web.get(path).status_code == 403
