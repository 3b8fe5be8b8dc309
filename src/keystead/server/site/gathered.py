"""A request's body is collected before one of the few threads is given to it: a slow sender would hold the thread.

How long a body may take is the connection's affair (``gateway/protocol.py``), which then says that the client has gone.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST: Final = 4 << 20
"""Bytes; more than any page or provisioning request needs, and than Django takes of a form."""
_WITH_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
_TOO_LARGE: Final = f"The request is larger than {LARGEST} bytes. Send less.".encode()


class Gathered:
    """The ASGI application that asks ``app`` once a request is complete."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not any(name in _WITH_BODY for name, _ in scope["headers"]):
            await self._app(scope, receive, send)
            return
        body = await whole(receive, LARGEST)
        if body is None:
            return  # whoever asked has gone
        if len(body) > LARGEST:
            await _refuse(send)
            return
        await self._app(scope, _first(body, receive), send)


async def whole(receive: Receive, largest: int) -> bytes | None:
    """Return the body, or None when the client left before its end; of a larger one no more than is too much."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        if len(body) <= largest:  # the rest is taken and dropped: a reset would overtake the answer
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _first(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body at first, and then whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_TOO_LARGE))]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _TOO_LARGE})
