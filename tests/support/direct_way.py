"""The server's direct way to the token endpoint, asked in process as its HTTP protocol asks it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

HOST = "127.0.0.1:8420"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Sent:
    """One request; ``more`` are further header lines, or the ones in place of what it has by itself."""

    path: str
    form: dict[str, str] = field(default_factory=dict)
    more: tuple[tuple[str, str], ...] = ()
    method: str = "POST"

    @property
    def body(self) -> bytes:
        return urlencode(self.form).encode()

    def scope(self) -> dict[str, Any]:
        own = {"host": HOST, "content-type": FORM, "content-length": str(len(self.body)), "user-agent": "tests"}
        replaced = {name for name, _ in self.more}
        lines = [*((name, value) for name, value in own.items() if name not in replaced), *self.more]
        return {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "headers": [(name.encode(), value.encode()) for name, value in lines],
            "client": ("127.0.0.1", 50_000),
        }


@dataclass
class Got:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(application: Any, sent: Sent) -> Got:
    """Return what ``application`` answers to one request."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await application(sent.scope(), receive, send)
    headers = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return Got(said[0]["status"], headers, b"".join(one.get("body", b"") for one in said[1:]))


async def nobody(_scope: Any, _receive: Any, send: Any) -> None:
    """Stand where Django's stack stands, and say that the request came here."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"Django's way"})


@contextlib.asynccontextmanager
async def direct_way() -> AsyncIterator[Any]:
    """Give the direct way, with Django's stack left out, over the test's database."""
    from django.db import connection

    from keystead.server.client_address import Proxies
    from keystead.server.site.direct import Direct
    from keystead.server.site.lanes import Lanes

    lanes = Lanes(4, together=connection.vendor == "sqlite")
    try:
        yield Direct(nobody, lanes, Proxies())
    finally:
        await asyncio.to_thread(lanes.close)


def asked_at_once(requests: Sequence[Sent]) -> list[Got]:
    """Ask everything at the same time, and return the answers in the order of the requests."""

    async def all_of_them() -> list[Got]:
        async with direct_way() as application:
            return list(await asyncio.gather(*(ask(application, one) for one in requests)))

    return asyncio.run(all_of_them())
