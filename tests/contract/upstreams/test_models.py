"""A model that the caller's policies do not allow reaches no upstream, however it is named."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from local_server import Answer as Canned
from local_server import local_server
from permits import allowing, facts
from upstreams import upstream

from keystead.clock import SYSTEM_CLOCK
from keystead.server.policy.decide import Permit
from keystead.server.policy.model_access import Unreadable

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

    from keystead.server.organizations.models import Membership

MODEL = "keystead-test-1"
REFUSED = "model {} is not in your role's availableModels allowlist"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
PATHS = ("/v1/messages", "/v1/messages/count_tokens")

pytestmark = pytest.mark.requirement("S-19 models")


def body(model: str = MODEL, **more: Any) -> bytes:
    return json.dumps(
        {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "a secret"}], **more}
    ).encode()


@pytest.fixture
def limited(serve: "Callable[..., Running]") -> "Running":
    return serve(permits=allowing(MODEL))


@pytest.mark.parametrize("path", [*PATHS, "/v1/messages?beta=true"])
@pytest.mark.parametrize("model", ["claude-opus-4-6", "keystead-test-2", "Keystead-Test-1", "x" * 256])
def test_another_model_is_refused_in_the_known_words(limited: "Running", path: str, model: str) -> None:
    answer = limited.ask(body(model), target=path)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["message"] == REFUSED.format(model)
    assert limited.api.requests == []


@pytest.mark.parametrize("path", PATHS)
def test_an_allowed_model_arrives_byte_for_byte(limited: "Running", path: str) -> None:
    sent = body().replace(b", ", b" ,\n")
    assert limited.ask(sent, target=path).status == 200
    (recorded,) = limited.api.requests
    assert recorded.body == sent


@pytest.mark.parametrize(
    "sent",
    [
        b'{"model":"keystead-test-1","model":"claude-opus-4-6","messages":[]}',
        b'{"model":"claude-opus-4-6","model":"keystead-test-1","messages":[]}',
        b'{"model":"keystead-test-1","\\u006dodel":"claude-opus-4-6","messages":[]}',
        b'{"model":"keystead-test-1","Model":"claude-opus-4-6","messages":[]}',
        b'{"MODEL":"claude-opus-4-6","model":"keystead-test-1","messages":[]}',
        b'{"model":"\\u0063laude-opus-4-6","messages":[]}',
        b'{"mod\\u0065l":"claude-opus-4-6","messages":[{"model":"keystead-test-1"}]}',
        b'{"x\\"model":"keystead-test-1","mod\\u0065l":"claude-opus-4-6"}',
        b'{"model":["keystead-test-1"],"messages":[]}',
        b'{"model":"keystead-test-1' + b"x" * 300 + b'","messages":[]}',
        b'{"messages":[],"tools":[{"type":"advisor","model":"claude-opus-4-6"}],"model":"keystead-test-1"}',
        b'{"model":"keystead-test-1","tools":[{"model":"claude-opus-4-6","model":"keystead-test-1"}]}',
        b'{"model":"keystead-test-1"}{"model":"claude-opus-4-6"}',
        b'{"model":"keystead-test-1","models":["keystead-test-1","claude-opus-4-6"],"messages":[]}',
        b'{"model":"keystead-test-1","Models":["claude-opus-4-6"],"messages":[]}',
        b'{"model":"keystead-test-1","\\u006dodels":["claude-opus-4-6"],"messages":[]}',
        b'{"model":"keystead-test-1","fallbacks":[{"model":"claude-opus-4-6"}],"messages":[]}',
        b'{"model":"keystead-test-1","fallbacks":["claude-opus-4-6"],"messages":[]}',
        b'{"model":"keystead-test-1","fallbacks":[{"keystead-test-1":["claude-opus-4-6"]}],"messages":[]}',
        b'{"model":"keystead-test-1","fallback":"claude-opus-4-6","messages":[]}',
        '{"model":"keystead-test-1"}'.encode("utf-16"),
    ],
)
def test_no_spelling_gets_another_model_past_the_list(limited: "Running", sent: bytes) -> None:
    answer = limited.ask(sent)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert limited.api.requests == []


def test_an_escaped_name_is_the_name_it_spells(limited: "Running") -> None:
    sent = body().replace(b"keystead", b"\\u006beystead")
    assert limited.ask(sent).status == 200
    assert limited.api.requests[0].body == sent


@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_request_is_one_row_without_tokens_or_body(limited: "Running", stream: bool) -> None:
    limited.ask(body("claude-opus-4-6", stream=stream))
    limited.ask(body("claude-opus-4-6"), target="/v1/messages/count_tokens")
    limited.ask(body())
    refused, served = limited.ledger.wait(2)
    assert (refused.model, refused.status, refused.upstream) == ("claude-opus-4-6", 400, "")
    assert (refused.input_tokens, refused.output_tokens, refused.estimated) == (0, 0, False)
    assert (refused.member_id, refused.principal_id) == ("mem_1", "key_1")
    assert "a secret" not in repr(refused)
    assert (served.model, served.status) == (MODEL, 200)
    assert len(limited.ledger.rows) == 2


def test_a_refused_request_leaves_the_connection_usable(limited: "Running") -> None:
    with limited.connect() as connection:
        for model, status in ((MODEL, 200), ("claude-opus-4-6", 400), (MODEL, 200), ("claude-opus-4-6", 400)):
            sent = body(model)
            connection.sendall(limited.head(length=len(sent)) + sent)
            assert limited.read(connection).status == status


def test_the_sdk_raises_its_own_error(limited: "Running") -> None:
    with anthropic.Anthropic(base_url=limited.base_url, api_key=limited.key, max_retries=0) as client:
        asked: Any = {"max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
        with pytest.raises(anthropic.BadRequestError, match="availableModels allowlist") as refused:
            client.messages.create(model="claude-opus-4-6", **asked)
        assert refused.value.body["error"]["message"] == REFUSED.format("claude-opus-4-6")  # type: ignore[index]
        with (
            pytest.raises(anthropic.BadRequestError, match="availableModels allowlist"),
            client.messages.stream(model="claude-opus-4-6", **asked),
        ):
            pytest.fail("the stream began")
        assert client.messages.create(model=MODEL, **asked).model == MODEL
        assert [model.id for model in client.models.list()] == [MODEL]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"])
def test_a_policy_that_cannot_be_read_lets_nothing_through(serve: "Callable[..., Running]", path: str) -> None:
    broken = Permit(facts(access=Unreadable("policy pol_1")))
    running = serve(permits=lambda _: broken)
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {running.key}\r\n\r\n".encode()
    answer = running.send(head) if path == "/v1/models" else running.ask(body(), target=path)
    assert (answer.status, answer.headers["retry-after"], answer.error["type"]) == (503, "5", "api_error")
    assert "policies" in answer.error["message"]
    assert "pol_1" not in answer.error["message"]
    assert running.api.requests == []


# -- the list of models ----------------------------------------------------------------------------------------------


def listing(*names: str, more: bool = False) -> dict[str, Any]:
    data = [{"type": "model", "id": name, "display_name": name.title(), "new": 1} for name in names]
    return {"data": data, "has_more": more, "first_id": names[0], "last_id": names[-1]}


def ask_list(serve: "Callable[..., Running]", canned: Canned, *entries: str) -> tuple[int, Any]:
    with local_server({"GET /v1/models": canned}) as other:
        running = serve(upstreams=[upstream(other.url, "other")], permits=allowing(*entries))
        line = f"GET /v1/models?limit=1000 HTTP/1.1\r\nhost: x\r\nx-api-key: {running.key}\r\n\r\n"
        answer = running.send(line.encode())
        return answer.status, json.loads(answer.body)


NAMES = ("claude-haiku-4-5", "claude-opus-4-6", "claude-sonnet-4-5-20250929")


def test_the_list_has_only_what_the_caller_may_use(serve: "Callable[..., Running]") -> None:
    status, document = ask_list(serve, (200, "application/json", listing(*NAMES)), "sonnet", "haiku")
    assert (status, document) == (200, listing(NAMES[0], NAMES[2]))


def test_a_list_without_any_is_an_empty_page(serve: "Callable[..., Running]") -> None:
    status, document = ask_list(serve, (200, "application/json", listing(*NAMES)))
    assert (status, document) == (200, {"data": [], "has_more": False, "first_id": None, "last_id": None})


def test_a_page_with_more_to_come_says_where_to_go_on(serve: "Callable[..., Running]") -> None:
    _, document = ask_list(serve, (200, "application/json", listing(*NAMES, more=True)), "haiku")
    assert [one["id"] for one in document["data"]] == [NAMES[0]]
    assert (document["has_more"], document["last_id"]) == (True, NAMES[2])


@pytest.mark.parametrize("canned", [b"<html>", b'{"data":[{"name":"x"}]}', b'{"data":null}', b"[]", b'{"data":[1]}'])
def test_a_list_that_cannot_be_read_is_not_passed_on(serve: "Callable[..., Running]", canned: bytes) -> None:
    status, document = ask_list(serve, (200, "application/json", canned), "haiku")
    assert (status, document["error"]["type"]) == (502, "api_error")


def test_an_upstreams_own_error_passes(serve: "Callable[..., Running]") -> None:
    assert ask_list(serve, (429, "application/json", {"type": "error"}), "haiku") == (429, {"type": "error"})


# -- with the real snapshots -----------------------------------------------------------------------------------------


@pytest.fixture
def keys(administrator: "Membership") -> dict[str, str]:
    """Two members' keys, and a policy for the group of one of them."""
    from keystead.server.identity.models import Person
    from keystead.server.keys import operations as api_keys
    from keystead.server.organizations import groups, operations
    from keystead.server.organizations.models import GroupSource
    from keystead.server.organizations.roles import Role
    from keystead.server.policies import operations as policies

    person = Person.objects.create_user("bo@example.com", None, created_at=NOW)
    developer = operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)
    group = groups.create(administrator.organization, "Testers", source=GroupSource.CONSOLE, actor="per_1", now=NOW)
    groups.set_members(group, [developer], "per_1", NOW)
    policies.create(administrator, policies.Draft("Base", '{"availableModels": ["haiku"]}'), NOW)
    policies.create(administrator, policies.Draft("Testers", f'{{"availableModels": ["{MODEL}"]}}', (group,)), NOW)

    def key(member: "Membership", byte: bytes) -> str:
        _, secret = api_keys.issue(member, "key", now=NOW, random_bytes=lambda size: byte * size)
        return str(secret.reveal())

    return {"administrator": key(administrator, b"a"), "developer": key(developer, b"b")}


def test_no_request_asks_the_database_and_its_trouble_changes_nothing(
    serve: "Callable[..., Running]", keys: dict[str, str], tmp_path: Any
) -> None:
    from django.db import connections

    from keystead.server import background
    from keystead.server.allowances import Allowances, limit_truth
    from keystead.server.allowed_models import AllowedModels, policy_truth
    from keystead.server.changes import Changes
    from keystead.server.denials import Denials
    from keystead.server.directory import SnapshotDirectory
    from keystead.server.permits import Permits, permit_truth
    from keystead.server.usage.price_list import SHIPPED

    changes = Changes()
    directory = SnapshotDirectory(background.truth(), SYSTEM_CLOCK, changes)
    models = AllowedModels(policy_truth(), changes)
    unlimited = Allowances(limit_truth(), SHIPPED, SYSTEM_CLOCK, changes)
    with closing(directory), closing(models), closing(Permits(permit_truth(), models, changes)) as permits:
        running = serve(directory=directory, permits=permits.of)
        connections.close_all()
        connections["default"].settings_dict["NAME"] = tmp_path / "nowhere" / "database"
        connections.settings["default"]["NAME"] = tmp_path / "nowhere" / "database"
        for chore in background.chores(directory, permits, Denials(print), unlimited)[:2]:
            with pytest.raises(Exception, match="unable to open database file"):
                chore.do(0.0)
        assert running.ask(body(), key=keys["developer"]).status == 200
        assert running.ask(body("claude-haiku-4-5"), key=keys["developer"]).status == 400
        assert running.ask(body(), key=keys["administrator"]).status == 400
        assert len(running.api.requests) == 1
