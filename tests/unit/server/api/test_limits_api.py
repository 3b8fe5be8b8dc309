"""``/v1/organizations/spend_limits`` and ``/allowances``: shapes, pages, errors, and who may."""

import json
from datetime import UTC, datetime
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest

from keystead.wire import ids

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
URL = "/v1/organizations/spend_limits"
EVERYBODY = {"scope": {"type": "organization"}, "amount": "50000", "period": "monthly"}


def key_of(member: "Membership", purpose: str = "any") -> str:
    from keystead.server.keys import operations
    from keystead.server.keys.models import Purpose

    _, secret = operations.issue(member, "limits", purpose=Purpose(purpose), now=NOW, random_bytes=token_bytes)
    return secret.reveal()


class Asking:
    """The address, asked with one key."""

    def __init__(self, web: "Client", key: str, url: str = URL, bearer: str = "") -> None:
        self._client = web
        self._url = url
        self._headers = {"x-api-key": key, "authorization": f"Bearer {bearer}" if bearer else ""}
        self.warning: str | None = None

    def __call__(self, method: str = "GET", path: str = "", document: Any = None, **query: Any) -> tuple[int, Any]:
        body = "" if document is None else document if isinstance(document, str) else json.dumps(document)
        headers = {name: value for name, value in self._headers.items() if value}
        answer = self._client.generic(
            method, self._url + path, body, "application/json", headers=headers, query_params=query
        )
        self.warning = answer.get("x-keystead-warning")
        assert answer["cache-control"] == "no-store"
        found = json.loads(answer.content)
        assert answer.status_code < 400 or found["request_id"] == answer["x-request-id"]
        return answer.status_code, found


@pytest.fixture
def ask(web: "Client", administrator: "Membership") -> Asking:
    return Asking(web, key_of(administrator))


def join(administrator: "Membership", name: str, role: str) -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user(f"{name}@example.com", None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role(role), NOW)


def test_a_limit_is_set_read_changed_and_deleted(ask: Asking) -> None:
    status, made = ask("POST", document=EVERYBODY)
    assert status == 200
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    name = made.pop("id")
    assert ids.parse("limit", name)
    assert made == {"type": "spend_limit", **EVERYBODY, "shared": False, "currency": "USD", "is_enabled": True}
    assert ask("POST", document=EVERYBODY | {"amount": None})[1]["id"] == name
    assert ask(path=f"/{name}")[1]["amount"] is None
    assert [one["id"] for one in ask()[1]["data"]] == [name]
    assert ask("DELETE", f"/{name}") == (200, {"type": "spend_limit_deleted", "id": name})
    assert ask("DELETE", f"/{name}")[0] == 404
    changes = [(one["action"], one["amount_before"], one["amount_after"]) for one in ask(path="/audit")[1]["data"]]
    assert changes == [("remove", None, None), ("update", "50000", None), ("create", None, "50000")]


def test_effective_says_for_each_member_what_holds_and_from_where(ask: Asking, administrator: "Membership") -> None:
    developer = join(administrator, "dev", "developer")
    user = {"type": "user", "user_id": ids.dump("membership", developer.pk)}
    ask("POST", document=EVERYBODY)
    ask("POST", document={"scope": user, "amount": "900", "period": "monthly"})
    ask("POST", document=EVERYBODY | {"amount": "70000", "shared": True})
    _, found = ask(path="/effective")
    shown = [(one["actor"]["email_address"], one["source"]["type"], one["amount"]) for one in found["data"]]
    assert shown == [
        ("ada@example.com", "organization", "50000"),
        ("ada@example.com", "organization", "70000"),
        ("dev@example.com", "user", "900"),
        ("dev@example.com", "organization", "70000"),
    ]
    assert {one["period_to_date_spend"] for one in found["data"]} == {"0"}
    _, found = ask(path="/effective", **{"user_ids[]": user["user_id"]})
    assert {one["actor"]["user_id"] for one in found["data"]} == {user["user_id"]}


def test_pages_follow_one_another_to_the_end(ask: Asking, administrator: "Membership") -> None:
    made = [ask("POST", document=EVERYBODY | {"period": one})[1]["id"] for one in ("daily", "weekly", "monthly")]
    seen, page = [], ""
    while page is not None:
        _, found = ask(limit=2, **({"page": page} if page else {}))
        seen += [one["id"] for one in found["data"]]
        page = found["next_page"]
    assert seen == made


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "The body is not JSON"),
        ("[" * 100_000, "larger than 65536"),
        ([], "not a JSON object"),
        ({}, "scope.type is none of"),
        ({"scope": {"type": "seat_tier"}, "amount": "1"}, "scope.type is none of"),
        ({"scope": {"type": "user"}, "amount": "1"}, "scope.user_id is missing"),
        ({"scope": {"type": "user", "user_id": "mem_1"}, "amount": "1"}, "no such user: mem_1"),
        ({"scope": {"type": []}, "amount": "1"}, "scope.type is none of"),
        ({"scope": {"type": {}}, "amount": "1"}, "scope.type is none of"),
        (EVERYBODY | {"amount": 5}, "amount is neither a string nor null"),
        (EVERYBODY | {"amount": "1.5"}, "amount is not a whole number of cents"),
        (EVERYBODY | {"period": "yearly"}, "period: yearly is none"),
        (EVERYBODY | {"period": "minute"}, "period: spend is limited over"),
        (EVERYBODY | {"period": []}, "period: \\[\\] is none"),
        (EVERYBODY | {"shared": 1}, "shared is neither true nor false"),
        (EVERYBODY | {"hard": True}, "hard: no such field"),
    ],
)
def test_what_cannot_be_names_its_field(ask: Asking, document: Any, words: str) -> None:
    import re

    status, answer = ask("POST", document=document)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert re.search(words, answer["error"]["message"])


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"limit": "00001" + "0" * 5000}, {"page": "spl_0"}]
)
def test_a_page_that_cannot_be_is_refused(ask: Asking, query: dict[str, str]) -> None:
    assert ask(**query)[0] == 400


@pytest.mark.requirement("G-08 limits")
def test_a_key_may_no_more_than_its_owner_may_now(web: "Client", administrator: "Membership") -> None:
    from keystead.server.organizations.models import Membership

    owner = join(administrator, "cy", "admin")
    theirs = Asking(web, key_of(owner))
    status, limit = theirs("POST", document=EVERYBODY)
    assert status == 200
    Membership.objects.filter(pk=owner.pk).update(role="developer")
    for method, path in [("GET", ""), ("GET", "/effective"), ("GET", "/audit"), ("DELETE", f"/{limit['id']}")]:
        assert theirs(method, path)[0] == 403
    status, answer = theirs("POST", document=EVERYBODY)
    assert (status, answer["error"]["type"]) == (403, "permission_error")
    Membership.objects.filter(pk=owner.pk).update(role="admin", deactivated_at=NOW)
    assert theirs("POST", document=EVERYBODY)[0] == 401


@pytest.mark.requirement("G-08 limits")
def test_an_agents_key_an_unknown_one_and_a_suspended_one_change_nothing(
    web: "Client", administrator: "Membership"
) -> None:
    from keystead.server.keys.models import ApiKey
    from keystead.server.limits.models import Limit
    from keystead.server.suspensions import operations as suspensions

    agents, unknown, suspended = key_of(administrator, "agent"), "nothing", key_of(administrator)
    newest = ApiKey.objects.latest("created_at", "id")
    suspensions.suspend(administrator, newest.wire_id, "Lost", NOW)
    answers = [Asking(web, key)("POST", document=EVERYBODY) for key in (agents, unknown, suspended)]
    assert [status for status, _ in answers] == [403, 401, 403]
    assert "A coding agent's key changes no limits" in answers[0][1]["error"]["message"]
    assert not Limit.objects.exists()


def test_another_method_is_told_which_there_are(ask: Asking) -> None:
    status, answer = ask("PUT")
    assert (status, answer["error"]["message"]) == (405, "Only GET, POST is supported at this address.")


@pytest.mark.requirement("G-07 administration")
def test_of_two_keys_the_bearer_counts_as_it_does_at_the_gateway(web: "Client", administrator: "Membership") -> None:
    from keystead.server.gateway.caller import CONFLICT
    from keystead.server.limits.models import Limit

    key, agents = key_of(administrator), key_of(administrator, "agent")
    both = Asking(web, key, bearer=agents)
    assert both("POST", document=EVERYBODY)[0] == 403
    both = Asking(web, agents, bearer=key)
    assert (both("POST", document=EVERYBODY)[0], both.warning) == (200, CONFLICT)
    assert Limit.objects.count() == 1
    for one, other in [(key, key), (key, "nothing"), ("nothing", key), ("", key), (key, "")]:
        asking = Asking(web, one, bearer=other)
        assert (asking()[0], asking.warning) == (200, None)


@pytest.mark.requirement("G-07 administration")
def test_a_sign_in_beside_a_key_is_what_counts_and_changes_nothing(web: "Client", administrator: "Membership") -> None:
    from keystead.server.authorization import access_tokens, clients, sign_ins
    from keystead.server.authorization.surroundings import now
    from keystead.server.identifiers import new_id

    approval = sign_ins.Approval(clients.find("keystead-cli"), administrator, "openid models:use")
    redeemed = sign_ins.begin(approval, "test", now())
    token, _ = access_tokens.sign(redeemed.grant, redeemed.scope, new_id(), now())
    asking = Asking(web, key_of(administrator), bearer=token)
    status, answer = asking()
    assert (status, answer["error"]["type"]) == (403, "permission_error")
    assert answer["error"]["message"].startswith("A sign-in changes no limits.")


@pytest.mark.requirement("S-25 allowance")
def test_an_allowance_is_set_read_and_deleted_at_its_own_address(web: "Client", administrator: "Membership") -> None:
    key = key_of(administrator)
    ask = Asking(web, key, "/v1/organizations/allowances")
    wanted = {"scope": {"type": "organization"}, "amount": "500", "period": "five_hours", "beyond": "metered"}
    status, made = ask("POST", document=wanted)
    assert (status, made["type"], made["beyond"], made["amount"]) == (200, "allowance", "metered", "500")
    assert ask("POST", document={**wanted, "beyond": "stopped"})[1]["id"] == made["id"]
    assert [one["beyond"] for one in ask()[1]["data"]] == ["stopped"]
    (held,) = ask(path="/effective")[1]["data"]
    assert held["type"] == "effective_allowance"
    assert (held["covered"], held["remaining"], held["resets_at"], held["beyond"]) == ("0", "500", None, "stopped")
    assert Asking(web, key)()[1]["data"] == []
    assert Asking(web, key)(path=f"/{made['id']}")[0] == 404
    assert Asking(web, key)(path="/effective")[1]["data"] == []
    assert ask("DELETE", f"/{made['id']}") == (200, {"type": "allowance_deleted", "id": made["id"]})
    told = [(one["type"], one["action"], one["beyond"]) for one in ask(path="/audit")[1]["data"]]
    kind = "allowance_audit_event"
    assert told == [(kind, "remove", "stopped"), (kind, "update", "stopped"), (kind, "create", "metered")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"period": "monthly"}, "period: allowance is limited over: five_hours, seven_days"),
        ({"period": None}, "period: None is none"),
        ({"beyond": "free"}, "beyond: free is none of stopped, metered"),
        ({"beyond": []}, "beyond: [] is none of"),
        ({"shared": True}, "shared: no such field. There are scope, amount, period and beyond."),
        ({"scope": {"type": "workspace", "workspace_id": "wrk_1"}}, "scope: an allowance is for people, each."),
    ],
)
def test_an_allowance_that_cannot_be_names_its_field(
    web: "Client", administrator: "Membership", wrong: dict[str, Any], words: str
) -> None:
    wanted = {"scope": {"type": "organization"}, "amount": "500", "period": "five_hours", **wrong}
    status, answer = Asking(web, key_of(administrator), "/v1/organizations/allowances")("POST", document=wanted)
    assert status == 400
    assert words in answer["error"]["message"]
