"""Authorization requests that a client hands in itself, before the browser comes (RFC 9126).

The browser then carries only a reference, so nobody at the browser can read or change what was asked. A reference may
be opened again (people reload pages), but it is answered once: by compare-and-swap, in the transaction of the answer.
"""

import secrets
from datetime import datetime
from typing import Final

from keystead.server.authorization import lifetimes
from keystead.server.authorization.clients import find
from keystead.server.authorization.models import Client, PushedRequest
from keystead.server.authorization.parameters import Parameters, required
from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.server.authorization.sign_ins import RandomBytes
from keystead.wire import tokens
from keystead.wire.tokens import TokenKind

PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
_OF_THE_CLIENT: Final = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


def push(
    parameters: Parameters, client: Client, now: datetime, random_bytes: RandomBytes = secrets.token_bytes
) -> dict[str, str | int]:
    """Keep a request that was checked; returns the answer to the client (RFC 9126 section 2.2)."""
    reference = tokens.mint(TokenKind.PUSHED_REQUEST, random_bytes)
    PushedRequest.objects.create(
        digest=tokens.digest(reference),
        client=client,
        parameters={name: value for name, value in parameters.items() if name not in _OF_THE_CLIENT},
        created_at=now,
        expires_at=now + lifetimes.PUSHED_REQUEST,
    )
    return {"request_uri": PREFIX + reference, "expires_in": int(lifetimes.PUSHED_REQUEST.total_seconds())}


def resolve(parameters: Parameters, now: datetime) -> tuple[Parameters, PushedRequest | None]:
    """Return what a request at the authorization endpoint asks for: itself, or what its reference stands for.

    Beside the reference only ``client_id`` counts (RFC 9126 section 4, RFC 9101 section 5).

    Raises:
        Refusal: ``invalid_request_uri``: unknown, expired, answered before, or another client's.
    """
    reference = parameters.get("request_uri", "")
    if not reference.startswith(PREFIX):
        return parameters, None
    found = PushedRequest.objects.filter(digest=tokens.digest(reference.removeprefix(PREFIX))).first()
    client = find(required(parameters, "client_id"))
    if found is None or found.client_id != client.pk or found.used_at is not None or found.expires_at <= now:
        raise unusable()
    pushed: Parameters = found.parameters
    return {**pushed, "client_id": client.client_id}, found


def use_up(pushed: PushedRequest | None, now: datetime) -> None:
    """Answer a pushed request; call it in the transaction of the answer.

    Raises:
        Refusal: it was answered before.
    """
    if pushed is not None and not PushedRequest.objects.filter(pk=pushed.pk, used_at=None).update(used_at=now):
        raise unusable()


def unusable() -> Refusal:
    """The reference cannot be answered."""
    return Refusal("invalid_request_uri", "The request_uri is unknown, has expired, or was used before.")


def require(client: Client, pushed: PushedRequest | None) -> None:
    """Hold a client to what it registered.

    Raises:
        Refusal: it must push its requests and has not.
    """
    if client.require_pushed_requests and pushed is None:
        raise invalid_request("This client must push its authorization requests (RFC 9126).")
