"""What an identity provider does to people here, and what it cannot do."""

from typing import Any

import pytest


def _member(resource: dict[str, Any]) -> Any:
    from keystead.server.organizations.models import Membership
    from keystead.wire import ids

    return Membership.objects.select_related("person").get(pk=ids.parse("membership", resource["id"]))


def test_a_new_user_is_a_member_without_password(provider: Any) -> None:
    made = provider.user(
        "bob", emails=[{"value": "Bob@Example.com", "primary": True}], name={"givenName": "Bob", "familyName": "B"}
    )
    member = _member(made)
    assert (member.person.email, member.person.name, member.role) == ("bob@example.com", "Bob B", "agent_user")
    assert not member.person.has_usable_password()


def test_a_member_of_the_console_is_found_and_taken_over(provider: Any, administrator: Any) -> None:
    (found,) = provider.found("/Users", 'userName eq "ADA@example.com"')
    status, changed = provider.patch(f"/Users/{found['id']}", op="add", path="externalId", value="00u1")
    assert (status, changed["externalId"]) == (200, "00u1")
    assert [one["id"] for one in provider.found("/Users", 'externalId eq "00u1"')] == [found["id"]]


@pytest.mark.parametrize("way", ["patch", "patch-string", "put", "delete"])
def test_leaving_ends_sign_ins_and_keys_at_once(provider: Any, way: str) -> None:
    from secrets import token_bytes

    from keystead.server.authorization import clients, operations, sign_ins
    from keystead.server.console.access import now
    from keystead.server.keys import operations as keys
    from keystead.wire import ids

    made = provider.user("bob@example.com", active=True)
    member, path = _member(made), f"/Users/{made['id']}"
    key, _ = keys.issue(member, "laptop", now=now(), random_bytes=token_bytes)
    grant = sign_ins.begin(sign_ins.Approval(clients.find("keystead-cli"), member, "models:use"), "", now()).grant
    wire_id = ids.dump("grant", grant.id)
    assert keys.facts(key.wire_id)
    assert operations.grant_is_live(wire_id)

    if way == "delete":
        assert provider.ask("DELETE", path)[0] == 204
        assert provider.ask("GET", path)[0] == 404
    elif way == "put":
        assert provider.ask("PUT", path, {**made, "active": False})[1]["active"] is False
    else:
        value = "False" if way == "patch-string" else False
        assert provider.patch(path, op="replace", path="active", value=value)[1]["active"] is False

    assert not keys.facts(key.wire_id)
    assert not operations.grant_is_live(wire_id)
    back = (
        provider.user("bob@example.com") if way == "delete" else provider.ask("PUT", path, {**made, "active": True})[1]
    )
    assert back["id"] == made["id"]
    assert _member(back).deactivated_at is None
    assert not keys.facts(key.wire_id), "a return revives nothing"


def test_the_last_administrator_stays(provider: Any, administrator: Any) -> None:
    (ada,) = provider.found("/Users", 'userName eq "ada@example.com"')
    assert provider.patch(f"/Users/{ada['id']}", op="replace", path="active", value=False)[0] == 403
    assert provider.ask("DELETE", f"/Users/{ada['id']}")[0] == 403
    administrator.refresh_from_db()
    assert administrator.deactivated_at is None


def test_nobody_is_taken_over_by_their_address(provider: Any, other: Any) -> None:
    from keystead.server.identity.models import Person

    before = Person.objects.get(email="ada@example.com")
    body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada@example.com"}
    status, fault = other.ask("POST", "/Users", body)
    assert (status, fault["scimType"]) == (409, "uniqueness")
    mine = other.user("mallory@other.example")
    emails = [{"value": "ada@example.com", "primary": True}]
    assert other.patch(f"/Users/{mine['id']}", op="replace", path="emails", value=emails)[0] == 409
    after = Person.objects.get(email="ada@example.com")
    assert (after.pk, after.name, after.memberships.count()) == (before.pk, before.name, 1)


def test_who_belongs_elsewhere_too_joins_by_a_proven_domain_and_stays_who_they_are(provider: Any, other: Any) -> None:
    from keystead.server.organizations.models import Membership, Organization
    from keystead.server.sso.models import Domain

    theirs = Organization.objects.get(name="Other")
    now = theirs.created_at
    Domain.objects.create(organization=theirs, name="example.com", challenge="x", created_at=now, verified_at=now)
    made = other.user(
        "ada@example.com",
        displayName="Renamed",
        emails=[{"value": "new@example.com"}, {"value": "ada@example.com", "primary": True}],
    )
    person = _member(made).person
    assert (person.email, person.name) == ("ada@example.com", "Ada")
    other.patch(f"/Users/{made['id']}", op="replace", path="emails", value=[{"value": "new@example.com"}])
    person.refresh_from_db()
    assert person.email == "ada@example.com"
    assert other.ask("DELETE", f"/Users/{made['id']}")[0] == 204
    assert Membership.objects.get(person=person, organization__name="Example").deactivated_at is None


def test_another_organization_does_not_exist(provider: Any, other: Any) -> None:
    bob = provider.user("bob@example.com")
    team = provider.ask(
        "POST", "/Groups", {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "T"}
    )[1]
    for path in (f"/Users/{bob['id']}", f"/Groups/{team['id']}"):
        for method in ("GET", "DELETE"):
            assert other.ask(method, path)[0] == 404
    assert {one["userName"] for one in other.ask("GET", "/Users")[1]["Resources"]} == {"eve@other.example"}
    assert other.found("/Users", 'userName eq "bob@example.com"') == []
    assert other.ask("GET", "/Groups")[1]["totalResults"] == 0
    group = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "X",
        "members": [{"value": bob["id"]}],
    }
    assert other.ask("POST", "/Groups", group)[1]["scimType"] == "invalidValue"
    provider.base = other.base
    assert provider.ask("GET", "/Users")[0] == 401, "a token of one organization is none of the other's"


def test_groups_follow_and_the_consoles_own_are_out_of_reach(provider: Any, administrator: Any) -> None:
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import Group, GroupSource

    ours = groups.create(
        administrator.organization, "Ours", source=GroupSource.CONSOLE, actor="system", now=administrator.created_at
    )
    bob = provider.user("bob@example.com")
    schemas = ["urn:ietf:params:scim:schemas:core:2.0:Group"]
    assert provider.ask("POST", "/Groups", {"schemas": schemas, "displayName": "Ours"})[0] == 409
    status, team = provider.ask(
        "POST", "/Groups", {"schemas": schemas, "displayName": "Team", "members": [{"value": bob["id"]}]}
    )
    assert status == 201
    assert [one["display"] for one in provider.ask("GET", f"/Users/{bob['id']}")[1]["groups"]] == ["Team"]
    assert [group.name for group in _member(bob).groups.all()] == ["Team"]
    assert [one["displayName"] for one in provider.ask("GET", "/Groups")[1]["Resources"]] == ["Team"]
    removed = provider.patch(f"/Groups/{team['id']}", op="remove", path=f'members[value eq "{bob["id"]}"]')
    assert removed[0] in {200, 204}
    assert not _member(bob).groups.exists()
    assert provider.ask("DELETE", f"/Groups/{team['id']}")[0] == 204
    assert Group.objects.filter(pk=ours.pk).exists()


def test_pages_sorts_and_counts(provider: Any) -> None:
    for name in ("carol@example.com", "bob@example.com"):
        provider.user(name)
    page = provider.ask("GET", "/Users?startIndex=2&count=1")[1]
    assert (page["totalResults"], page["startIndex"], len(page["Resources"])) == (3, 2, 1)
    names = [
        one["userName"] for one in provider.ask("GET", "/Users?sortBy=userName&sortOrder=descending")[1]["Resources"]
    ]
    assert names == ["carol@example.com", "bob@example.com", "ada@example.com"]
    assert len(provider.found("/Users", 'userName sw "b" or emails.value co "ada"')) == 2


def test_an_old_entity_tag_changes_nothing(provider: Any) -> None:
    bob = provider.user("bob@example.com")
    path, first = f"/Users/{bob['id']}", bob["meta"]["version"]
    assert provider.ask("GET", path, **{"if-none-match": first})[0] == 304
    provider.patch(path, op="replace", path="title", value="Chief")
    schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
    again = {"schemas": schemas, "Operations": [{"op": "replace", "path": "title", "value": "Other"}]}
    assert provider.ask("PATCH", path, again, **{"if-match": first})[0] == 412
    assert provider.ask("GET", path)[1]["title"] == "Chief"


def test_a_part_of_a_bulk_request_may_fail_alone(provider: Any) -> None:
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]}
    group = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "T"}
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {**user, "userName": "bob@example.com"}},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": {**user, "userName": "BOB@example.com"}},
        {"method": "POST", "path": "/Groups", "bulkId": "c", "data": {**group, "members": [{"value": "bulkId:a"}]}},
    ]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
    status, said = provider.ask("POST", "/Bulk", body)
    assert status == 200
    assert [one["status"] for one in said["Operations"]] == ["201", "409", "201"]
    assert len(provider.ask("GET", "/Groups")[1]["Resources"][0]["members"]) == 1


def test_passwords_are_not_taken(provider: Any) -> None:
    from keystead.server.scim.models import ScimUser

    made = provider.user("bob@example.com", password="hunter2hunter2")
    assert "password" not in made
    assert "hunter2" not in str(list(ScimUser.objects.values()))
    assert not _member(made).person.has_usable_password()


def test_an_address_from_scim_is_verified_and_ends_the_links_to_the_one_before(provider: Any) -> None:
    from secrets import token_bytes

    from keystead.server.identity import link_codes
    from keystead.server.identity.models import LinkCode, Purpose

    made = provider.user("bob", emails=[{"value": "bob@example.com", "primary": True}])
    person = _member(made).person
    assert person.email_verified_at is not None
    link_codes.make(person, Purpose.RESET, person.email, person.created_at, token_bytes)
    provider.patch(f"/Users/{made['id']}", op="replace", path="emails", value=[{"value": "rob@example.com"}])
    person.refresh_from_db()
    assert (person.email, person.email_verified_at is not None) == ("rob@example.com", True)
    assert not LinkCode.objects.filter(used_at=None).exists()


def test_somebody_without_an_address_has_no_verified_one(provider: Any) -> None:
    person = _member(provider.user("robot", emails=[])).person
    assert person.email.endswith("@scim.invalid")
    assert person.email_verified_at is None
