"""Read token counts off answers in OpenAI's formats (chat completions and responses) while they pass by.

The shape is that of :mod:`keystead.wire.usage`. OpenAI counts what was read from the cache and written to it within the
input; here they are apart. A stream of chat completions says what it used only where the client asked for it
(``stream_options.include_usage``); otherwise one token is counted for each event, which is what each carries at least.
"""

import json
from typing import Any, Final

from keystead.wire.usage import LARGEST, DocumentUsage, StreamUsage, TokenCounts, usage_of_document

_INPUT: Final = ("prompt_tokens", "input_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens")
_TOTAL: Final = ("total_tokens",)
_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details")


def counts_of(usage: dict[str, Any]) -> TokenCounts | None:
    """Return the counts of a ``usage`` object, whichever of the two formats has it; None when there are none in it.

    Some upstreams count the tokens of reasoning in the total only, so what the total has beyond the prompt is output.
    """
    given, answered = _number(usage, _INPUT), _number(usage, _OUTPUT)
    if given is None and answered is None:
        return None
    whole, answered, total = given or 0, answered or 0, _number(usage, _TOTAL) or 0
    details: dict[str, Any] = next((usage[name] for name in _DETAILS if isinstance(usage.get(name), dict)), {})
    cached = _number(details, ("cached_tokens",)) or 0
    whole = max(whole, cached)
    written = min(_number(details, ("cache_write_tokens",)) or 0, whole - cached)
    return TokenCounts(whole - cached - written, max(answered, total - whole), cached, written)


def _number(document: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((value for name in names if type(value := document.get(name)) is int and 0 <= value <= LARGEST), None)


def document_counts(body: bytes) -> TokenCounts | None:
    """Return the counts in a whole JSON document, or None when it says none."""
    usage = usage_of_document(body)
    return None if usage is None else counts_of(usage)


class OpenAIStreamUsage(StreamUsage):
    """Counts from the last chunk of a chat completion, or from the event that ends a response."""

    __slots__ = ()

    def _take(self, text: bytes) -> bool:
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            return False
        for place in (event, event.get("response")) if isinstance(event, dict) else ():
            usage = place.get("usage") if isinstance(place, dict) else None
            counts = counts_of(usage) if isinstance(usage, dict) else None
            if counts is not None:
                self.counts = counts
                self.seen = self.final = True
        return False

    def floor(self) -> int:
        return max(self.counts.output, self._events)


class OpenAIDocumentUsage(DocumentUsage):
    """Counts from the top-level ``usage`` of a document."""

    __slots__ = ()

    @staticmethod
    def read(body: bytes) -> TokenCounts | None:
        return document_counts(body)
