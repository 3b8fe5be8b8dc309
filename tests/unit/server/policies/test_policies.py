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

    from keystead.server import command, installation

    monkeypatch.setattr(installation, "open_database", lambda *_: None)
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
    assert "ada@example.com is given" in web.get("/policies", {"as": " ADA@example.com "}).content.decode()
    assert "Nobody has an address" in web.get("/policies", {"as": "zoe"}).content.decode()
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


@pytest.mark.requirement("B-10 simulator")
def test_a_model_is_tried_as_a_person_without_asking_it(
    administrator: "Membership", developer: "Membership", platform: "Group", monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from keystead.server import command, installation
    from keystead.server.limits import operations as limits
    from keystead.server.limits.operations import Draft
    from keystead.server.organizations import switches
    from keystead.server.policy.limits import Measure, Period, Scope
    from keystead.server.policy.terms import Kind
    from keystead.server.suspensions import operations as suspensions
    from keystead.server.terms import operations as terms

    monkeypatch.setattr(installation, "open_database", lambda *_: None)
    write(administrator, "Base", '{"availableModels": ["haiku"]}')
    write(administrator, "Platform", '{"deniedModels": ["claude-haiku-3"]}', groups=(platform,))

    def tried(model: str, *more: str) -> Any:
        asked = ["policy-test", "--as", developer.person.email, "--model", model, *more]
        return CliRunner().invoke(command.server, asked)

    def facts(model: str, *more: str) -> dict[str, Any]:
        (member,) = json.loads(tried(model, "--json", *more).output)["members"]
        decision: dict[str, Any] = member["decision"]
        return decision

    assert "allowed by Base, then Platform." in tried("claude-haiku-4-5").output
    assert "declared only: no client" in tried("claude-haiku-4-5").output
    refused = tried("claude-opus-5").output
    assert "refused with 400 by the rule available-models, set by Base, then Platform." in refused
    assert "Answer  model claude-opus-5 is not in your role's" in refused
    assert facts("claude-haiku-3")["rule"] == "denied-models"
    assert facts("claude-haiku-4-5", "--client", "keystead-cli")["client"].startswith(
        "declared only: a public client's"
    )
    switches.turn(administrator, switches.Switch.PROVEN_CLIENTS, True, NOW)
    assert facts("claude-haiku-4-5", "--client", "keystead-cli")["rule"] == "proven-clients"
    flat_rate = Draft(Scope.ORGANIZATION, "", Measure.ALLOWANCE, Period.FIVE_HOURS, 1)
    limit = limits.put(administrator, flat_rate, NOW)
    assert facts("claude-haiku-4-5")["rule"] == "individual-use"
    limits.remove(administrator, limit, NOW)
    suspensions.suspend(administrator, ids.dump("membership", developer.pk), "Away", NOW)
    assert (facts("x")["rule"], facts("x")["status"], facts("x")["policies"]) == ("suspended", 403, [])
    suspensions.lift(administrator, ids.dump("membership", developer.pk), NOW)
    terms.publish(Kind.COMMERCIAL, "2026-11", "Be kind.", NOW, NOW)
    assert (facts("x")["rule"], facts("x")["status"], facts("x")["policies"]) == ("terms", 403, [])
    assert "they wait at http://127.0.0.1:8420/terms" in tried("x").output
    assert isinstance(tried("x", "--client", "nobody").exception, UsageError)
    without = CliRunner().invoke(command.server, ["policy-test", "--as", "x@example.com", "--client", "keystead-cli"])
    assert isinstance(without.exception, UsageError)


@pytest.mark.requirement("B-10 simulator")
def test_a_change_says_first_who_would_be_blocked(
    administrator: "Membership", developer: "Membership", platform: "Group"
) -> None:
    from django.test import Client
    from django.utils import timezone

    from keystead.server.identifiers import new_id
    from keystead.server.organizations import operations as organizations
    from keystead.server.usage.models import UsageEntry

    def used(member: "Membership | None", model: str, status: int = 200) -> None:
        numbers = dict.fromkeys(
            ("duration_ms", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"), 0
        )
        flags = dict.fromkeys(("streamed", "aborted", "estimated"), False)
        UsageEntry.objects.create(
            id=new_id(), organization=administrator.organization, model=model, status=status, member=member,
            workspace=organizations.default_workspace(administrator.organization), started_at=timezone.now(),
            **numbers, **flags,
        )  # fmt: skip

    used(developer, "claude-opus-5")
    used(developer, "claude-haiku-4-5")
    used(developer, "claude-fable-5", 400)
    used(administrator, "claude-opus-5")
    used(None, "claude-opus-5")
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(administrator.person)
    typed = {"name": "Platform", "groups": [ids.dump("group", platform.pk)], "email_domain": "", "preview": "yes"}
    page = web.post("/policies/new", {**typed, "settings": '{"availableModels": ["haiku"]}'}).content.decode()
    assert "1 of 3 that used models" in page
    assert f'<th scope="row">{developer.person.email}</th><td>claude-opus-5</td>' in page
    assert not administrator.organization.policies.exists()
    page = web.post("/policies/new", {**typed, "groups": [], "settings": '{"deniedModels": ["opus"]}'}).content.decode()
    assert "3 of 3 that used models" in page
    assert "service accounts" in page
    policy = write(administrator, "Base", '{"availableModels": ["opus"]}')
    changed = {
        **typed,
        "groups": [],
        "name": "Base",
        "settings": '{"availableModels": ["opus", "haiku"]}',
        "version": 1,
    }
    page = web.post(f"/policies/{policy.wire_id}", changed).content.decode()
    assert "Nobody: 3 used models" in page
    broken = web.post(f"/policies/{policy.wire_id}", {**changed, "settings": "[]"})
    assert (broken.status_code, "must be a JSON object" in broken.content.decode()) == (422, True)
