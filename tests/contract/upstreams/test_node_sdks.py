"""The official SDKs for Node.js work through the gateway, unmodified."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from openai_api import CHAT_USAGE_CACHED, serving
from upstreams import upstream

import peers
from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.gateway.ports import Kind
from keystead.testing.messages_api.answers import NOTICE

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

KEY = "openai-key-canary"
REFUSED = {"name": "AuthenticationError", "status": 401}


def test_the_anthropic_sdk_asks_streams_counts_and_lists(running: "Running") -> None:
    seen = peers.ask("sdks", base=running.base_url, key=running.key, vendor="anthropic", model="keystead-test-1")
    rows = running.ledger.wait(2)
    for what, row in zip(("whole", "streamed"), rows, strict=True):
        usage = seen[what]["usage"]
        assert seen[what]["text"].startswith(NOTICE)
        assert (row.input_tokens, row.output_tokens) == (usage["input_tokens"], usage["output_tokens"])
    assert seen["counted"] > 0
    assert seen["listed"] == ["keystead-test-1"]
    assert seen["refused"].items() >= REFUSED.items()
    assert "not known here" in seen["refused"]["message"]


def test_the_openai_sdk_asks_and_streams(serve: Callable[..., "Running"]) -> None:
    with serving(KEY) as api:
        credential = FixedCredential(Secret(KEY), "authorization")
        running = serve(upstreams=[upstream(api.base_url, "openai", kind=Kind.OPENAI, credential=credential)])
        seen = peers.ask("sdks", base=running.base_url, key=running.key, vendor="openai", model="gpt-test")
    assert [seen[what] for what in ("whole", "streamed", "response")] == ["This is not a model"] * 3
    assert seen["usage"] == CHAT_USAGE_CACHED
    assert seen["refused"].items() >= REFUSED.items()
    rows = running.ledger.wait(3)
    assert [(row.input_tokens, row.output_tokens) for row in rows] == [(20, 5), (20, 5), (30, 7)]
