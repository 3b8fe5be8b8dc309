"""What the fake says: pure functions from a request to the JSON or the events of the Messages API."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from keystead.testing.messages_api.scenarios import Scenario

NOTICE: Final = "This is Keystead's test upstream, not a model."
MODEL: Final = "keystead-test-1"
_KNOWN_MODEL: Final = re.compile(r"keystead-test-\d+|claude-(?:[a-z]+-)?\d[a-z0-9.@-]*")
"""Agents ask for their own default model, so well-formed names of that family are answered too."""

ERROR_TYPES: Final = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low."),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "Not found."),
    405: ("invalid_request_error", "Method Not Allowed"),
    413: ("request_too_large", "Request exceeds the maximum size."),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}


def error(status: int, request_id: str, message: str = "") -> dict[str, Any]:
    """Return the error envelope of ``status``; ``message`` replaces the usual sentence."""
    kind, usual = ERROR_TYPES.get(status, ("api_error", "Internal server error"))
    return {"type": "error", "error": {"type": kind, "message": message or usual}, "request_id": request_id}


def is_known_model(name: str) -> bool:
    """Return whether the fake answers for this model name."""
    return _KNOWN_MODEL.fullmatch(name) is not None


def models(names: Sequence[str]) -> dict[str, Any]:
    """Return the page that ``GET /v1/models`` answers."""
    data = [
        {
            "type": "model",
            "id": name,
            "display_name": "Keystead test upstream (not a model)",
            "created_at": "2026-01-01T00:00:00Z",
        }
        for name in names
    ]
    return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}


def question(body: dict[str, Any]) -> str:
    """Return the text of the last user message, whether it is a string or a list of blocks."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return ""
    users = [message for message in messages if isinstance(message, dict) and message.get("role") == "user"]
    content = users[-1].get("content") if users else ""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return " ".join(str(block.get("text", "")) for block in blocks if isinstance(block, dict))


def input_tokens(body: dict[str, Any]) -> int:
    """Return the deterministic count the fake reports: a token per four characters of the compact messages."""
    return max(1, len(json.dumps(body.get("messages"), separators=(",", ":"))) // 4)


def pieces(body: dict[str, Any], scenario: Scenario) -> list[str]:
    """Return the answer's text, cut as it is streamed."""
    asked = question(body)[:80]
    plain = [NOTICE, f" It received {len(asked)} characters" if asked else " It received no text", " and works."]
    return plain + [f" word{number}".ljust(scenario.size, "-") for number in range(1, scenario.words + 1)]


def usage(body: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    """Return the ``usage`` of the whole answer: one output token per piece."""
    written = {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 24}
    searched = {"server_tool_use": {"web_search_requests": scenario.searches}}
    return {
        "input_tokens": input_tokens(body),
        "cache_creation_input_tokens": 64 if scenario.cache else 0,
        "cache_read_input_tokens": 2048 if scenario.cache else 0,
        "output_tokens": len(pieces(body, scenario)),
        **({"cache_creation": written} if scenario.cache else {}),
        **(searched if scenario.searches else {}),
    }


def message(body: dict[str, Any], scenario: Scenario, message_id: str) -> dict[str, Any]:
    """Return the unstreamed answer."""
    text = "".join(pieces(body, scenario))
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage(body, scenario),
    }


def events(body: dict[str, Any], scenario: Scenario, message_id: str) -> Iterator[dict[str, Any]]:
    """Yield the events of the streamed answer, in the documented order."""
    final = usage(body, scenario)
    start = message(body, scenario, message_id) | {"content": [], "stop_reason": None}
    yield {"type": "message_start", "message": start | {"usage": final | {"output_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for _ in range(scenario.pings):
        yield {"type": "ping"}
    for piece in pieces(body, scenario):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": final["output_tokens"]},
    }
    yield {"type": "message_stop"}


def encode_event(event: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
