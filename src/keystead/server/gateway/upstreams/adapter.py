"""How one kind of upstream is asked, and how its answer is read: the shape of a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.routes import MESSAGES, Format
from keystead.wire.model_scan import RequestFacts

if TYPE_CHECKING:
    from keystead.server.gateway.upstream import Listener, Pool

Prepare = Callable[["Pool", RequestHead, RequestFacts, bytes], Sequence[bytes]]
"""Makes the bytes of a request, in pieces to be sent one after the other.

Raises :class:`~keystead.server.gateway.ports.CredentialUnavailable`, or
:class:`~keystead.server.gateway.refusals.Refusal` for what this upstream cannot be asked.
"""
Translate = Callable[["Listener", RequestHead, RequestFacts], "Listener"]
"""Stands between the upstream's connection and the one who asked, and gives them an answer in Messages form."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One row of the table.

    Attributes:
        prepare: the request of a client in this upstream's words.
        translated: the answer of this upstream in the client's; None when they are the same, byte for byte.
        format: of the requests it takes.
        counts_tokens: whether it answers ``/v1/messages/count_tokens``.
        lists_models: whether it answers ``GET /v1/models``.
    """

    prepare: Prepare
    translated: Translate | None = None
    format: Format = MESSAGES
    counts_tokens: bool = True
    lists_models: bool = True
