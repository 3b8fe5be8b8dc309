"""The pages of data and compliance and of suspensions: who may, what is said, and what counts afterwards."""

import html
from datetime import UTC, datetime
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest

from keystead.server.organizations.roles import Role
from keystead.wire import ids

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.fixture
def signed_in(web: "Client", administrator: "Membership") -> "Client":
    web.force_login(administrator.person)
    return web


@pytest.fixture
def bo(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    person = Person.objects.create_user("bo@example.com", None, name="Bo", created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


def shown(response: Any) -> str:
    return html.unescape(response.content.decode())


def turn(web: "Client", switch: str, on: str) -> Any:
    return web.post("/compliance", {"switch": switch, "on": on})


@pytest.mark.requirement("S-22 switches")
def test_the_switches_are_turned_in_the_only_possible_order(signed_in: "Client", administrator: "Membership") -> None:
    refused = turn(signed_in, "baa", "yes")
    assert (refused.status_code, "only while zero data retention is on" in shown(refused)) == (403, True)
    assert turn(signed_in, "zero_retention", "yes").status_code == 302
    assert turn(signed_in, "baa", "yes").status_code == 302
    refused = turn(signed_in, "zero_retention", "no")
    assert (refused.status_code, "Switch the agreement off first" in shown(refused)) == (403, True)
    assert turn(signed_in, "proven_clients", "yes").status_code == 302
    administrator.organization.refresh_from_db()
    stand = administrator.organization
    assert (stand.zero_retention, stand.baa, stand.proven_clients) == (True, True, True)
    assert shown(signed_in.get("/compliance")).count(">on</span>") == 3
    assert turn(signed_in, "name", "yes").status_code == 404


@pytest.mark.requirement("S-22 switches")
def test_others_neither_see_nor_turn_them(web: "Client", bo: "Membership") -> None:
    web.force_login(bo.person)
    assert "/compliance" not in shown(web.get("/"))
    assert web.get("/compliance").status_code == turn(web, "zero_retention", "yes").status_code == 403
    bo.organization.refresh_from_db()
    assert not bo.organization.zero_retention


@pytest.mark.requirement("S-23 suspension")
def test_a_member_is_suspended_sees_why_and_comes_back(
    signed_in: "Client", administrator: "Membership", bo: "Membership"
) -> None:
    from django.test import Client

    theirs = Client(SERVER_NAME="127.0.0.1")
    theirs.force_login(bo.person)
    name = ids.dump("membership", bo.pk)
    assert "Suspend Bo?" in shown(signed_in.get(f"/suspensions/{name}"))
    assert signed_in.post(f"/suspensions/{name}", {"reason": ""}).status_code == 422
    assert signed_in.post(f"/suspensions/{name}", {"reason": "Sold a sign-in"}).status_code == 302
    for address in ("/", "/keys", "/device?user_code=BCDF-GHJK", "/devices"):
        answer = theirs.get(address)
        assert (answer.status_code, "Sold a sign-in. Ask an administrator" in shown(answer)) == (403, True), address
    assert "Sold a sign-in" in shown(signed_in.get("/compliance"))
    assert "suspended" in shown(signed_in.get(f"/members/{name}"))
    assert "Let Bo use models again?" in shown(signed_in.get(f"/suspensions/{name}"))
    assert signed_in.post(f"/suspensions/{name}").status_code == 302
    assert theirs.get("/keys").status_code == 200


@pytest.mark.requirement("S-23 suspension")
def test_a_key_is_suspended_by_an_administrator_and_by_nobody_else(
    signed_in: "Client", administrator: "Membership", bo: "Membership"
) -> None:
    from django.test import Client

    from keystead.server.keys import operations as keys

    key, _ = keys.issue(bo, "laptop", now=NOW, random_bytes=token_bytes)
    address = f"/suspensions/{key.wire_id}"
    theirs = Client(SERVER_NAME="127.0.0.1")
    theirs.force_login(bo.person)
    assert address not in shown(theirs.get("/keys"))
    assert theirs.post(address, {"reason": "Mine"}).status_code == 403
    assert address in shown(signed_in.get("/keys"))
    assert signed_in.post(address, {"reason": "In a public repository"}).status_code == 302
    assert ">suspended<" in shown(signed_in.get("/keys"))
    assert ">suspended<" in shown(theirs.get("/keys"))
    for unknown in ("key_" + "0" * 32, "mem_1", "svac_" + "0" * 32, "nothing"):
        assert signed_in.get(f"/suspensions/{unknown}").status_code == 404
    oneself = ids.dump("membership", administrator.pk)
    answer = signed_in.post(f"/suspensions/{oneself}", {"reason": "Me"})
    assert "You cannot suspend your own membership." in shown(answer)


@pytest.mark.requirement("S-23 suspension")
def test_a_client_is_suspended_and_lifted(signed_in: "Client", administrator: "Membership") -> None:
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.suspensions.models import Suspension

    wanted = registry.Registration("App", AuthMethod.NONE, ["authorization_code"], ["https://a.example/c"], "openid")
    client, _ = registry.register(administrator, wanted, NOW, token_bytes)
    address = f"/clients/{client.client_id}"
    signed_in.defaults["HTTP_ORIGIN"] = "http://127.0.0.1"
    assert signed_in.post(address, {"action": "suspend", "reason": " "}).status_code == 422
    assert signed_in.post(address, {"action": "suspend", "reason": "Spam"}).status_code == 302
    assert "Suspended: Spam" in shown(signed_in.get(address))
    assert signed_in.post(address, {"action": "lift"}).status_code == 302
    assert Suspension.objects.get().lifted_by == administrator


@pytest.mark.requirement("S-23 suspension")
def test_a_service_account_is_suspended_from_the_list_of_them(signed_in: "Client", administrator: "Membership") -> None:
    from keystead.server.keys import service_accounts

    account = service_accounts.create(administrator, "deploy", now=NOW)
    address = f"/suspensions/{account.wire_id}"
    assert address in shown(signed_in.get("/workloads"))
    signed_in.defaults["HTTP_ORIGIN"] = "http://127.0.0.1"
    assert signed_in.post(address, {"reason": "Runs wild"}).status_code == 302
    listed = shown(signed_in.get("/workloads"))
    assert ">suspended<" in listed
    assert "Lift<" in listed
    assert signed_in.post(address).status_code == 302
    assert ">suspended<" not in shown(signed_in.get("/workloads"))
