"""The addresses that are relayed raw: which format each has, and whether an answer is paid for by the token."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from keystead.wire import openai_usage, usage
from keystead.wire.usage import TokenCounts, UsageReader


@dataclass(frozen=True, slots=True)
class Format:
    """How requests and answers are written, as far as the gateway reads them.

    Attributes:
        name: what people call it.
        stream: reads the usage off a stream of events.
        document: reads it off a document that comes in pieces.
        counts: reads it off a whole document; None when it says nothing about usage.
    """

    name: str
    stream: Callable[[], UsageReader]
    document: Callable[[], UsageReader]
    counts: Callable[[bytes], TokenCounts | None]


MESSAGES: Final = Format("Messages", usage.StreamUsage, usage.DocumentUsage, usage.document_counts)
OPENAI: Final = Format(
    "OpenAI", openai_usage.OpenAIStreamUsage, openai_usage.OpenAIDocumentUsage, openai_usage.document_counts
)


@dataclass(frozen=True, slots=True)
class Route:
    """One address."""

    format: Format
    metered: bool = True


ROUTES: Final[Mapping[bytes, Route]] = {
    b"/v1/messages": Route(MESSAGES),
    b"/v1/messages/count_tokens": Route(MESSAGES, metered=False),
    b"/v1/chat/completions": Route(OPENAI),
    b"/v1/responses": Route(OPENAI),
}
