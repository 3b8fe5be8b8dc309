"""The unmodified official SDK works through the gateway, with either credential, streamed and not."""

from typing import TYPE_CHECKING

import anthropic
import pytest

from keystead.testing.messages_api.answers import NOTICE

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running


@pytest.fixture(params=["key", "bearer"])
def client(request: pytest.FixtureRequest, running: "Running") -> anthropic.Anthropic:
    if request.param == "key":
        return anthropic.Anthropic(base_url=running.base_url, api_key=running.key, max_retries=0)
    return anthropic.Anthropic(base_url=running.base_url, auth_token=running.bearer, api_key=None, max_retries=0)


def test_answer_arrives_and_is_written_down(running: "Running", client: anthropic.Anthropic) -> None:
    with client:
        message = client.messages.create(
            model="keystead-test-1", max_tokens=9, messages=[{"role": "user", "content": "hello"}]
        )
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith(NOTICE)
    (row,) = running.ledger.wait()
    assert (row.input_tokens, row.output_tokens) == (message.usage.input_tokens, message.usage.output_tokens)
    assert (row.model, row.status, row.streamed, row.aborted) == ("keystead-test-1", 200, False, False)


def test_stream_arrives_and_is_written_down(running: "Running", client: anthropic.Anthropic) -> None:
    with (
        client,
        client.messages.stream(
            model="keystead-test-1",
            max_tokens=9,
            messages=[{"role": "user", "content": "x-keystead-fake: cache, searches=3, pings=1, words=40"}],
        ) as stream,
    ):
        usage = stream.get_final_message().usage
    (row,) = running.ledger.wait()
    assert (row.input_tokens, row.output_tokens) == (usage.input_tokens, usage.output_tokens)
    assert (row.cache_read_tokens, row.cache_write_tokens) == (2048, 64)
    assert (row.cache_write_1h_tokens, row.web_searches) == (24, 3)
    assert (row.streamed, row.aborted, row.estimated) == (True, False, False)


def test_tokens_are_counted_and_models_listed_without_a_row(running: "Running", client: anthropic.Anthropic) -> None:
    with client:
        counted = client.messages.count_tokens(model="keystead-test-1", messages=[{"role": "user", "content": "hello"}])
        listed = [model.id for model in client.models.list()]
    assert counted.input_tokens > 0
    assert listed == ["keystead-test-1"]
    assert running.ledger.rows == []


def test_upstream_sees_its_own_credential_only(running: "Running", client: anthropic.Anthropic) -> None:
    with client:
        client.messages.create(model="keystead-test-1", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
    (recorded,) = running.api.requests
    assert recorded.headers["x-api-key"] == "upstream-key-canary"
    assert "authorization" not in recorded.headers
    seen = repr(recorded.raw_headers)
    assert running.key not in seen
    assert running.bearer not in seen


def test_refusals_are_the_sdks_own_errors(running: "Running") -> None:
    with (
        anthropic.Anthropic(base_url=running.base_url, api_key="ksk_wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError, match="damaged"),
    ):
        client.messages.create(model="keystead-test-1", max_tokens=9, messages=[{"role": "user", "content": "hello"}])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 529])
def test_upstream_errors_reach_the_client_as_they_are(running: "Running", status: int) -> None:
    with (
        anthropic.Anthropic(base_url=running.base_url, api_key=running.key, max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        client.messages.create(
            model="keystead-test-1",
            max_tokens=9,
            messages=[{"role": "user", "content": f"x-keystead-fake: error={status}"}],
        )
    assert caught.value.status_code == status
    assert caught.value.response.json()["request_id"].startswith("req_fake_")
    (row,) = running.ledger.wait()
    assert (row.status, row.input_tokens, row.output_tokens) == (status, 0, 0)
