"""Clients that speak a cloud's own format: each cloud one row, and who takes a request apart.

Such a request is brought into Messages form once, is then an :class:`~keystead.server.gateway.exchange.Exchange` like
every other one, and its answer is put into the cloud's form on its way out. ``addresses`` says what a path means,
``names`` which model is meant by a cloud's name for it, ``request`` how the body is turned, ``exchange`` puts that
around the exchange; the rows are here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from keystead.server.gateway import refusals
from keystead.server.gateway.client import Client
from keystead.server.gateway.clients import addresses, bedrock, request, vertex
from keystead.server.gateway.clients.exchange import Dialect, OwnFormatExchange
from keystead.server.gateway.ports import Kind

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

__all__ = ["ADDRESSES", "DIALECTS", "begin", "dialect_of", "is_own"]

_AMAZONS: Final = Dialect(Kind.BEDROCK, addresses.of_bedrock, request.in_messages_form, bedrock.render, bedrock.Answers)
_GOOGLE: Final = Dialect(Kind.VERTEX, addresses.of_vertex, request.in_messages_form, vertex.render)
DIALECTS: Final[Mapping[tuple[bytes, bytes], Dialect]] = {
    (b"/model/", b"/count-tokens"): replace(_AMAZONS, turn=request.counted, answers=bedrock.Counts),
    (b"/model/", b""): _AMAZONS,
    (b"/projects/", b""): _GOOGLE,
    (b"/v1/projects/", b""): _GOOGLE,
    (b"/anthropic/", b""): Dialect(Kind.FOUNDRY, addresses.of_foundry, request.renamed, refusals.render),
}
"""By how the path begins and ends; the first that does counts."""
_BEGINNINGS: Final = tuple(beginning for beginning, _ in DIALECTS)
_GOOGLES: Final = "projects/{project}/locations/{location}/publishers/anthropic/models/{model}"
ADDRESSES: Final[Mapping[str, str]] = {
    "/model/{model}/invoke": "Amazon Bedrock",
    "/model/{model}/invoke-with-response-stream": "Amazon Bedrock",
    "/model/{model}/count-tokens": "Amazon Bedrock",
    f"/{_GOOGLES}:rawPredict": "Google Cloud",
    f"/{_GOOGLES}:streamRawPredict": "Google Cloud",
    f"/v1/{_GOOGLES}:rawPredict": "Google Cloud",
    f"/v1/{_GOOGLES}:streamRawPredict": "Google Cloud",
    "/anthropic/v1/messages": "Microsoft Foundry",
    "/anthropic/v1/messages/count_tokens": "Microsoft Foundry",
}
"""What there is, for people to read: whose format each address is in."""


def is_own(path: bytes) -> bool:
    """Return whether a path, which is none of the gateway's own, is in a cloud's format."""
    return path.startswith(_BEGINNINGS)


def dialect_of(path: bytes) -> Dialect:
    """Return the row of a path for which :func:`is_own` holds."""
    return next(
        dialect for (first, last), dialect in DIALECTS.items() if path.startswith(first) and path.endswith(last)
    )


def begin(gateway: "Gateway", client: Client, path: bytes) -> OwnFormatExchange:
    """Return the exchange of a request in a cloud's format, for whose path :func:`is_own` holds."""
    return OwnFormatExchange(gateway, client, dialect_of(path))
