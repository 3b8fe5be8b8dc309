"""One question in three dialects, and errors in four."""

import json

import pytest

from keystead.wire import dialects, event_stream, sse
from keystead.wire.dialects import BEDROCK, MESSAGES, Dialect, vertex
from keystead.wire.messages import ApiError, Question

ASKED = Question("anthropic.claude-x-v1:0", "hi", 100)


def test_the_messages_api_as_it_is() -> None:
    assert MESSAGES.address("any thing") == "/v1/messages"
    assert MESSAGES.head() == {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    assert json.loads(MESSAGES.body(ASKED))["model"] == ASKED.model


def test_bedrock_has_the_model_in_the_path_and_its_version_in_the_body() -> None:
    assert BEDROCK.address(ASKED.model) == "/model/anthropic.claude-x-v1%3A0/invoke-with-response-stream"
    assert BEDROCK.head() == {"content-type": "application/json"}
    assert json.loads(BEDROCK.body(ASKED)) == {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_vertex_is_told_to_stream_in_the_body_too() -> None:
    dialect = vertex("example.com:team", "europe-west1")
    place = "/projects/example.com:team/locations/europe-west1/publishers/anthropic/models"
    assert dialect.address("claude-x@20250101") == f"{place}/claude-x@20250101:streamRawPredict"
    body = json.loads(dialect.body(ASKED))
    assert (body["anthropic_version"], body["stream"]) == ("vertex-2023-10-16", True)
    assert "model" not in body


def test_an_inference_profile_stays_one_part_of_the_path() -> None:
    arn = "arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.anthropic.claude-x"
    assert BEDROCK.address(arn).count("/") == 3


@pytest.mark.parametrize("model", ["", "..", ".", "../../v1/x", "a?b", "a#b", "a b", "a\n", "ä", "x" * 300])
def test_a_model_cannot_lead_elsewhere(model: str) -> None:
    for dialect in (BEDROCK, vertex("p", "r")):
        with pytest.raises(ValueError, match="name"):
            dialect.address(model)


def test_further_headers_come_along() -> None:
    assert Dialect(headers={dialects.WORKSPACE: "w"}).head()[dialects.WORKSPACE] == "w"


def test_the_type_of_the_answer_says_how_it_is_read() -> None:
    assert isinstance(dialects.stream_parser("text/event-stream; charset=utf-8"), sse.Parser)
    assert isinstance(dialects.stream_parser("application/vnd.amazon.eventstream"), event_stream.MessagesParser)
    assert dialects.stream_parser("application/json") is None


@pytest.mark.parametrize(
    ("status", "headers", "body", "error"),
    [
        (403, {}, '{"type":"error","error":{"type":"billing_error","message":"m"}}', ApiError("billing_error", "m")),
        (403, {"x-amzn-errortype": "ExpiredTokenException:http://internal.amazon.com/"}, '{"message":"m"}',
         ApiError("authentication_error", "m")),
        (403, {"x-amzn-requestid": "r1"}, '{"Message":"m"}', ApiError("permission_error", "m", "r1")),
        (429, {}, '[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}\n]',
         ApiError("rate_limit_error", "m")),
        (404, {}, '{"error":{"code":"DeploymentNotFound","message":"m"}}', ApiError("not_found_error", "m")),
        (502, {}, '{"message":"m"}', ApiError("api_error", "m")),
        (403, {}, "<html>", None),
        (403, {}, '{"error":"m"}', None),
        (403, {}, "{}", None),
    ],
)  # fmt: skip
def test_an_error_in_anybodys_words(status: int, headers: dict[str, str], body: str, error: ApiError | None) -> None:
    assert dialects.parse_error(status, headers, body.encode()) == error
