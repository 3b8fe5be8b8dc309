"""The threads behind the direct way: nobody waits for one that has to wait, and one that breaks spoils no other."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from keystead.server.authorization.views.posted import Endpoint, Reply


@dataclass
class Asking:
    """Sends requests to endpoints that the test made up."""

    lanes: Any

    async def __call__(self, endpoint: "Endpoint") -> "Reply":
        from keystead.server.authorization.views.posted import Asked

        reply: Reply = await self.lanes.reply(endpoint, Asked("/oauth/token", "", None, None, "", "127.0.0.1", b""))
        return reply


def run(story: Callable[[Asking], Any], *, together: bool = True) -> Any:
    from keystead.server.site.lanes import Lanes

    async def whole() -> Any:
        lanes = Lanes(2, together=together)
        try:
            return await story(Asking(lanes))
        finally:
            await asyncio.to_thread(lanes.close)

    return asyncio.run(whole())


def endpoint(answer: Callable[[Any], bytes]) -> "Endpoint":
    from keystead.server.authorization.views.posted import posted

    return posted(answer)


def test_others_are_answered_while_one_waits_for_another_server(database: "Path") -> None:
    from keystead.server.authorization.refusals import MustWait

    go_on = threading.Event()

    def slow(call: Any) -> bytes:
        if call.at_once:
            raise MustWait
        assert go_on.wait(60)
        return b'"slow"'

    async def story(ask: Asking) -> tuple[bytes, bytes]:
        waiting = asyncio.create_task(ask(endpoint(slow)))
        quick = await ask(endpoint(lambda _: b'"quick"'))
        go_on.set()
        return quick.body, (await waiting).body

    assert run(story) == (b'"quick"', b'"slow"')


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("error", "status"), [("OperationalError", 503), ("ValueError", 500)])
def test_a_request_that_breaks_is_told_so_and_the_others_are_answered(
    database: "Path", error: str, status: int, together: bool
) -> None:
    from django.db import OperationalError

    from keystead.server.authorization.models import Client

    def broken(_: Any) -> bytes:
        raise {"OperationalError": OperationalError, "ValueError": ValueError}[error]("hunter2")

    def counting(_: Any) -> bytes:
        return str(Client.objects.count()).encode()

    async def story(ask: Asking) -> list[Any]:
        return list(await asyncio.gather(ask(endpoint(counting)), ask(endpoint(broken)), ask(endpoint(counting))))

    replies = run(story, together=together)
    assert [reply.status for reply in replies] == [200, status, 200]
    assert b"hunter2" not in replies[1].body
    assert replies[1].headers["Cache-Control"] == "no-store"
    assert (replies[1].headers.get("Retry-After") is not None) == (status == 503)


def test_what_was_written_beside_a_request_that_breaks_is_written_once(database: "Path") -> None:
    from datetime import UTC, datetime

    from keystead.server.audit import operations as audit
    from keystead.server.audit.models import AuditEvent

    def writing(_: Any) -> bytes:
        at = datetime(2026, 11, 21, tzinfo=UTC)
        audit.record(organization=None, actor=audit.SYSTEM, action="test:write", target="x", at=at)
        return b"{}"

    def broken(_: Any) -> bytes:
        raise ValueError

    async def story(ask: Asking) -> list[Any]:
        return list(await asyncio.gather(*(ask(endpoint(one)) for one in (writing, broken, writing))))

    run(story)
    assert AuditEvent.objects.filter(action="test:write").count() == 2


def test_what_waits_at_the_end_is_answered(database: "Path") -> None:
    from keystead.server.site.lanes import Lanes

    async def whole() -> list[Any]:
        lanes = Lanes(1, together=True)
        ask = Asking(lanes)
        waiting = [asyncio.create_task(ask(endpoint(lambda _: b"{}"))) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.to_thread(lanes.close)
        return list(await asyncio.gather(*waiting))

    assert [reply.status for reply in asyncio.run(whole())] == [200] * 100
