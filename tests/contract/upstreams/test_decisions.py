"""What a rule refuses reaches no upstream at any address, with the status, the words and the note that it has."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from permits import facts

from keystead.server.policy import Principal
from keystead.server.policy.decide import Credential, Deny, Permit, Suspension
from keystead.server.policy.terms import Unaccepted

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

pytestmark = pytest.mark.requirement("S-20 enforced")

PATHS = ("/v1/messages", "/v1/messages/count_tokens", "/v1/models")
DUE = Unaccepted("commercial", "2026-11", "2026-11-26", "https://k/terms")
SUSPENDED = {"suspended": Suspension("This API key", "Sold to others")}


class Noted:
    """What was noted of refusals."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, str]] = []

    def __call__(self, principal: Principal, deny: Deny, _now: float) -> None:
        self.all.append((principal.id, deny.rule.id, deny.model))


def ask(running: "Running", path: str, *lines: str) -> Any:
    if path != "/v1/models":
        return running.ask(None, *lines, target=path)
    head = "".join(f"{line}\r\n" for line in ("host: x", f"x-api-key: {running.key}", *lines))
    return running.send(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def under(serve: "Callable[..., Running]", noted: Noted) -> "Callable[..., Running]":
    """Return a function that starts a gateway where every caller has these facts."""

    def start(**these: Any) -> "Running":
        permit = Permit(facts(**these))
        return serve(permits=lambda _: permit, denials=noted)

    return start


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("these", "rule", "words"),
    [
        (
            {"terms": DUE},
            "terms",
            "they wait at https://k/terms (rule terms; the terms that this server's operator has",
        ),
        (SUSPENDED, "suspended", "This API key is suspended: Sold to others (rule suspended; "),
        ({"credential": Credential.SIGN_IN}, "person-sign-in", "Give the program an API key or a service account"),
        ({"credential": Credential.SERVICE}, "own-service-token", "Register the client"),
        ({"plan": "barter"}, "unknown-fact", "of no kind that this gateway knows"),
    ],
)
def test_a_denial_says_the_rule_and_the_way_and_is_noted(
    under: "Callable[..., Running]", noted: Noted, path: str, these: dict[str, Any], rule: str, words: str
) -> None:
    running = under(**these)
    answer = ask(running, path)
    assert (answer.status, answer.error["type"]) == (403, "permission_error")
    assert words in answer.error["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert noted.all == [("key_1", rule, "")]
    assert running.api.requests == []


def test_a_refused_request_is_one_row_with_its_status(under: "Callable[..., Running]") -> None:
    running = under(**SUSPENDED)
    ask(running, "/v1/messages")
    (row,) = running.ledger.wait()
    assert (row.status, row.model, row.upstream, row.input_tokens) == (403, "keystead-test-1", "", 0)


@pytest.mark.requirement("S-14 server")
@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize(("surface", "status"), [("local", 200), ("remote", 403), ("moon", 403)])
def test_a_key_does_not_count_on_a_surface_that_is_declared_remote(
    under: "Callable[..., Running]", path: str, surface: str, status: int
) -> None:
    running = under()
    answer = ask(running, path, f"x-keystead-surface: {surface}")
    assert answer.status == status
    assert all("x-keystead-surface" not in dict(one.headers) for one in running.api.requests)


def test_a_model_is_noted_with_its_rule(under: "Callable[..., Running]", noted: Noted) -> None:
    from keystead.server.policy.model_access import ModelAccess

    answer = ask(under(access=ModelAccess(None, denied=["keystead-test-1"])), "/v1/messages")
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["message"].startswith("model keystead-test-1 is not in your role's availableModels allowlist")
    assert noted.all == [("key_1", "denied-models", "keystead-test-1")]
