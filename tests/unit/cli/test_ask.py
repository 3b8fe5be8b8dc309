import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Login
from keystead.secret import Secret
from keystead.testing.transport import StreamedScript, json_response
from keystead.wire import messages, sse
from keystead.wire.http import Request, Response
from keystead.wire.messages import ApiError, Finished, Question, Stopped, TextDelta

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def stream(*events: TextDelta | Stopped | Finished | ApiError) -> StreamedScript:
    return StreamedScript(200, STREAM, tuple(sse.dump(messages.dump_event(event)) for event in events))


HELLO = stream(TextDelta("Hello"), TextDelta(" there."), Stopped("end_turn"), Finished())


def error(status: int, kind: str, message: str = "because") -> Response:
    return Response(status, {"content-type": "application/json"}, messages.dump_error(ApiError(kind, message)))


@pytest.fixture
def ready(machine: "Machine", login: Login) -> "Machine":
    """A machine that is signed in to a gateway with one model."""
    machine.surroundings.store.save(login)
    routes = machine.issuer.transport.routes
    routes["GET /v1/models"] = Response(200, {}, messages.dump_models(("model-a", "model-b")))
    routes["POST /v1/messages"] = HELLO
    return machine


def asked(machine: "Machine") -> list[Request]:
    return [request for request in machine.issuer.transport.requests if request.url.endswith("/v1/messages")]


def question(machine: "Machine") -> Question:
    body = asked(machine)[-1].body
    assert body is not None
    return messages.parse_question(body)


def test_the_answer_is_streamed_to_standard_output(ready: "Machine") -> None:
    outcome = ready.run("-p", "hi")

    assert (outcome.code, outcome.out, outcome.err) == (0, "Hello there.\n", "")
    request = asked(ready)[0]
    assert request.url == "https://keys.example.com/v1/messages"
    assert request.headers["authorization"] == Secret("Bearer canary-old-access")
    assert "x-api-key" not in request.headers
    assert question(ready) == Question("model-a", "hi")


def test_the_model_comes_from_the_first_place_that_names_one(ready: "Machine") -> None:
    found = []

    def ask(*flags: str) -> None:
        ready.run("-p", "hi", *flags)
        found.append(question(ready).model)

    ask()
    ready.user_settings('{"model": "from-settings"}')
    ask()
    ready.set(ANTHROPIC_MODEL="from-variable")
    ask()
    ask("--model", "from-flag")

    assert found == ["model-a", "from-settings", "from-variable", "from-flag"]


def test_what_is_piped_in_is_part_of_the_question(ready: "Machine", monkeypatch: pytest.MonkeyPatch) -> None:
    ready.environment(stdin_tty=False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("grüße\n".encode())))

    ready.run("-p", "translate")

    assert question(ready).text == "translate\n\ngrüße"


def test_bytes_that_are_no_text_are_named(ready: "Machine", monkeypatch: pytest.MonkeyPatch) -> None:
    ready.environment(stdin_tty=False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))

    outcome = ready.run("-p", "translate")

    assert (outcome.code, asked(ready)) == (2, [])
    assert "byte 3" in outcome.err


def test_an_empty_question_is_not_sent(ready: "Machine") -> None:
    assert (ready.run("-p", "  ").code, asked(ready)) == (2, [])


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", 78),
        (403, "permission_error", 77),
        (404, "not_found_error", 78),
        (413, "request_too_large", 2),
        (429, "rate_limit_error", 75),
        (429, "billing_error", 77),
        (500, "api_error", 75),
        (529, "overloaded_error", 75),
        (418, "teapot_error", 1),
    ],
)
def test_an_error_of_the_api_is_told_with_its_exit_code(ready: "Machine", status: int, kind: str, code: int) -> None:
    ready.issuer.answer("POST /v1/messages", error(status, kind, "because of that"))

    outcome = ready.run("-p", "hi")

    assert (outcome.code, outcome.out) == (code, "")
    assert f"{kind}: because of that." in outcome.err
    assert len(asked(ready)) == 1


def test_a_model_outside_the_policy_says_who_can_allow_it(ready: "Machine") -> None:
    words = "model b is not in your role's availableModels allowlist"
    ready.issuer.answer("POST /v1/messages", error(400, "invalid_request_error", words))
    assert "ask the administrator of the organization for this one" in ready.run("-p", "hi", "--model", "b").err


def test_what_a_server_says_of_a_key_that_it_refuses_is_told(machine: "Machine") -> None:
    machine.set(ANTHROPIC_API_KEY="canary-key", ANTHROPIC_BASE_URL="https://keys.example.com")
    refused = error(401, "authentication_error", "The key canary-key is revoked. Use the new one")
    machine.issuer.answer("POST /v1/messages", refused)
    machine.issuer.answer("GET /v1/models", refused)
    machine.issuer.answer("GET /v1/me/limits", refused)

    for command in (["-p", "hi"], ["-p", "hi", "--model", "m"], ["limits"]):
        outcome = machine.run(*command)
        assert (outcome.code, outcome.out) == (4, "")
        assert "It says: The key … is revoked. Use the new one." in outcome.err
    verified = machine.run("status", "--verify", "--json")
    assert "refuses it: The key \\u2026 is revoked" in verified.out
    assert "canary-key" not in verified.out


def test_a_server_that_repeats_the_credential_does_not_get_it_shown(ready: "Machine") -> None:
    ready.issuer.answer("POST /v1/messages", error(400, "invalid_request_error", "bad canary-old-access"))
    assert "canary" not in ready.run("-p", "hi").err


def test_a_refused_sign_in_is_renewed_once(ready: "Machine") -> None:
    answers = [error(401, "authentication_error")]
    done = b"".join(sse.dump(messages.dump_event(event)) for event in (TextDelta("ok"), Finished()))
    ready.issuer.answer("POST /v1/messages", lambda request: answers.pop() if answers else Response(200, STREAM, done))

    outcome = ready.run("-p", "hi")

    assert (outcome.code, outcome.out) == (0, "ok\n")
    sent = [request.headers["authorization"] for request in asked(ready)]
    assert sent == [Secret("Bearer canary-old-access"), Secret("Bearer canary-new-access")]


def test_a_second_refusal_is_final(ready: "Machine") -> None:
    ready.issuer.answer("POST /v1/messages", error(401, "authentication_error"))

    outcome = ready.run("-p", "hi")

    assert (outcome.code, len(asked(ready))) == (4, 2)
    renewals = [one for one in ready.issuer.transport.requests if one.url.endswith("/oauth/token")]
    assert len(renewals) == 1
    assert "canary" not in outcome.err


def test_a_refused_key_is_not_tried_again(machine: "Machine") -> None:
    machine.set(ANTHROPIC_API_KEY="canary-key", ANTHROPIC_MODEL="m")
    machine.issuer.answer("POST /v1/messages", error(401, "authentication_error"))

    outcome = machine.run("-p", "hi")

    assert (outcome.code, len(asked(machine))) == (4, 1)
    assert "ANTHROPIC_API_KEY in the environment" in outcome.err
    assert "canary" not in outcome.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (StreamedScript(200, STREAM, HELLO.chunks[:1]), "broke off"),
        (StreamedScript(200, STREAM, (*HELLO.chunks[:1], b"data: {\n\n")), "something else"),
        (stream(TextDelta("Hello"), ApiError("overloaded_error", "later")), "overloaded_error: later"),
    ],
)
def test_a_broken_stream_keeps_what_came_and_says_so(ready: "Machine", answer: StreamedScript, said: str) -> None:
    ready.issuer.transport.routes["POST /v1/messages"] = answer

    outcome = ready.run("-p", "hi")

    assert (outcome.code, outcome.out) == (75, "Hello\n")
    assert said in outcome.err


@pytest.mark.parametrize("answer", [Response(200, {}, b"{}"), Response(502, {}, b"<html>")])
def test_something_else_than_the_api_is_named(ready: "Machine", answer: Response) -> None:
    ready.issuer.answer("POST /v1/messages", answer)

    outcome = ready.run("-p", "hi")

    assert (outcome.code, outcome.out) == (75, "")
    assert "https://keys.example.com" in outcome.err


def test_an_answer_that_stopped_early_is_said(ready: "Machine") -> None:
    ready.issuer.transport.routes["POST /v1/messages"] = stream(TextDelta("He"), Stopped("max_tokens"), Finished())

    outcome = ready.run("-p", "hi")

    assert (outcome.code, outcome.out) == (0, "He\n")
    assert "max_tokens" in outcome.err


def test_an_answer_does_not_drive_the_terminal(ready: "Machine") -> None:
    ready.issuer.transport.routes["POST /v1/messages"] = stream(TextDelta("\x1b]52;c;eA==\x07ok\n"), Finished())

    piped = ready.run("-p", "hi").out
    ready.environment(stdout_tty=True)
    shown = ready.run("-p", "hi").out

    assert "\x07" in piped
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_no_models_is_an_error_with_its_fix(ready: "Machine") -> None:
    ready.issuer.answer("GET /v1/models", json_response(200, {"data": []}))

    outcome = ready.run("-p", "hi")

    assert outcome.code == 78
    assert "--model" in outcome.err


def test_without_credential_nothing_is_sent(machine: "Machine") -> None:
    outcome = machine.run("-p", "hi")

    assert (outcome.code, machine.issuer.transport.requests) == (4, [])


def test_model_without_question_is_a_usage_error(machine: "Machine") -> None:
    assert machine.run("--model", "m").code == 2
    assert machine.run("-p", "hi", "status").code == 2


def test_the_key_goes_in_its_own_header(machine: "Machine") -> None:
    machine.set(ANTHROPIC_API_KEY="canary-key", ANTHROPIC_MODEL="m")
    machine.issuer.transport.routes["POST /v1/messages"] = HELLO

    machine.run("-p", "hi")

    headers = asked(machine)[0].headers
    assert headers["x-api-key"] == Secret("canary-key")
    assert "authorization" not in headers
    assert json.loads(asked(machine)[0].body or b"")["stream"] is True
