"""The Messages API fake speaks the protocol as the official SDK expects it."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import anthropic
import pytest

from keystead.secret import Secret
from keystead.testing.messages_api import MessagesApi
from keystead.testing.messages_api.answers import NOTICE


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    with MessagesApi() as running:
        yield running


def client(api: MessagesApi, scenario: str = "", api_key: str = "any") -> anthropic.Anthropic:
    headers = {"x-keystead-fake": scenario} if scenario else {}
    return anthropic.Anthropic(base_url=api.base_url, api_key=api_key, max_retries=0, default_headers=headers)


def ask(one: anthropic.Anthropic, text: str = "hello", model: str = "keystead-test-1") -> anthropic.types.Message:
    return one.messages.create(model=model, max_tokens=10, messages=[{"role": "user", "content": text}])


def test_answers_plainly_that_it_is_no_model(api: MessagesApi) -> None:
    with client(api) as one:
        message = ask(one)
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith(NOTICE)
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("scenario", ["", "pings=2", "split=1", "framing=close", "cache, words=5", "informational"])
def test_streams_events_in_order_whatever_the_framing(api: MessagesApi, scenario: str) -> None:
    with (
        client(api, scenario) as one,
        one.messages.stream(
            model="keystead-test-1", max_tokens=10, messages=[{"role": "user", "content": "hello"}]
        ) as stream,
    ):
        text = stream.get_final_text()
        usage = stream.get_final_message().usage
    assert text.startswith(NOTICE)
    assert usage.output_tokens == (8 if "words" in scenario else 3)
    assert usage.cache_read_input_tokens == (2048 if "cache" in scenario else 0)


def test_scenario_can_be_asked_for_in_the_question(api: MessagesApi) -> None:
    with client(api) as one, pytest.raises(anthropic.APIStatusError) as caught:
        ask(one, "please x-keystead-fake: error=529")
    assert caught.value.status_code == 529
    assert json.loads(caught.value.response.text)["error"]["type"] == "overloaded_error"


def test_unknown_model_is_not_found(api: MessagesApi) -> None:
    with client(api) as one, pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        ask(one, model="gpt-nothing")


def test_wrong_credential_is_refused_when_one_is_asked_for() -> None:
    with MessagesApi(api_key=Secret("right")) as api:
        with client(api, api_key="wrong") as one, pytest.raises(anthropic.AuthenticationError):
            ask(one)
        with client(api, api_key="right") as one:
            ask(one)


def test_counts_tokens_and_lists_its_model(api: MessagesApi) -> None:
    with client(api) as one:
        counted = one.messages.count_tokens(
            model="claude-3-5-haiku-latest", messages=[{"role": "user", "content": "x"}]
        )
        listed = [model.id for model in one.models.list()]
    assert counted.input_tokens > 0
    assert listed == ["keystead-test-1"]


def test_records_what_arrived(api: MessagesApi) -> None:
    with client(api) as one:
        ask(one)
    (recorded,) = api.requests
    assert recorded.path == "/v1/messages"
    assert json.loads(recorded.body)["model"] == "keystead-test-1"
    assert "any" in (recorded.headers.get("x-api-key", ""), recorded.headers["authorization"].removeprefix("Bearer "))


def _read_all(raw: socket.socket) -> bytes:
    return b"".join(iter(lambda: raw.recv(65536), b""))


def test_aborted_stream_is_an_error_for_the_client(api: MessagesApi) -> None:
    with socket.create_connection(("127.0.0.1", int(api.base_url.rpartition(":")[2]))) as raw:
        body = b'{"model":"keystead-test-1","max_tokens":9,"stream":true,"messages":[]}'
        head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-keystead-fake: abort=4\r\ncontent-length: %d\r\n\r\n"
        raw.sendall(head % len(body) + body)
        with pytest.raises(ConnectionResetError):
            _read_all(raw)


def test_runs_by_itself_and_prints_its_address() -> None:
    command = [sys.executable, "-m", "keystead.testing.messages_api", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        try:
            with anthropic.Anthropic(base_url=address, api_key="any", max_retries=0) as one:
                ask(one)
        finally:
            process.terminate()
