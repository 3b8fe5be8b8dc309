"""The kinds of upstreams, each one row: how it is asked, and how its answer is read.

A new kind is a module beside this one and its row here. ``prepare`` gets the pool (whose ``upstream`` is what was
configured, and whose ``prefix``, ``host`` and ``credential`` are ready to be written), the client's head, what was
found in the body, and the body. A kind whose answers are not in Messages form also has ``translated``
(:mod:`~keystead.server.gateway.upstreams.translation`).
"""

from collections.abc import Mapping
from typing import Final

from keystead.server.gateway.ports import Kind
from keystead.server.gateway.routes import OPENAI
from keystead.server.gateway.upstreams import bedrock, messages, vertex
from keystead.server.gateway.upstreams.adapter import Adapter

__all__ = ["ADAPTERS", "Adapter"]

_MESSAGES: Final = Adapter(messages.prepare)

ADAPTERS: Final[Mapping[Kind, Adapter]] = {
    Kind.ANTHROPIC: _MESSAGES,
    Kind.AWS: _MESSAGES,
    Kind.BEDROCK: Adapter(bedrock.prepare, bedrock.Answer, counts_tokens=False, lists_models=False),
    Kind.VERTEX: Adapter(vertex.prepare, vertex.Answer, lists_models=False),
    Kind.FOUNDRY: Adapter(messages.prepare, lists_models=False),
    Kind.MESSAGES: _MESSAGES,
    Kind.OPENAI: Adapter(messages.prepare, format=OPENAI, counts_tokens=False, lists_models=False),
}
"""A kind without a row cannot be asked for anything."""
