"""Hundreds of streams at once: every one of them goes on while the others are open, and nothing stays behind."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pytest
from upstreams import upstream

from keystead.server import open_files

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

STREAMS: Final = 600
_EVENT: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
_CHUNK: Final = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_WAIT: Final = 60.0


class Beating:
    """An upstream that holds every stream open and says something on all of them whenever it is told to."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.all_there = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
        writer.write(_HEAD)
        self.writers.append(writer)
        if len(self.writers) == STREAMS:
            self.all_there.set()

    async def beat(self, data: bytes) -> None:
        for writer in self.writers:
            writer.write(data)
        await asyncio.gather(*(writer.drain() for writer in self.writers))


@pytest.mark.requirement("G-10 streams")
def test_every_stream_goes_on_while_all_are_open(serve: "Callable[..., Running]") -> None:
    open_files.allow_all()  # four for each stream, and here they are all of one process
    asyncio.run(asyncio.wait_for(_all_go_on(serve), _WAIT))


async def _all_go_on(serve: "Callable[..., Running]") -> None:
    beating = Beating()
    server = await asyncio.start_server(beating, "127.0.0.1", 0, backlog=STREAMS)
    port = server.sockets[0].getsockname()[1]
    running = await asyncio.to_thread(serve, upstreams=[upstream(f"http://127.0.0.1:{port}")])
    asked = b'{"model":"m","max_tokens":9,"stream":true,"messages":[]}'
    request = running.head(length=len(asked)) + asked
    clients = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(STREAMS)]
    for _, writer in clients:
        writer.write(request)
    await beating.all_there.wait()
    assert running.gateway.limits.upstream_connections >= STREAMS
    for _ in range(3):  # each of them hears each beat while all the others are open
        await beating.beat(_CHUNK)
        await asyncio.gather(*(reader.readuntil(_EVENT + b"\r\n") for reader, _ in clients))
    await beating.beat(b"0\r\n\r\n")
    ends = await asyncio.gather(*(reader.readuntil(b"0\r\n\r\n") for reader, _ in clients))
    assert set(ends) == {b"0\r\n\r\n"}
    rows = await asyncio.to_thread(running.ledger.wait, STREAMS)
    assert {(row.status, row.aborted) for row in rows} == {(200, False)}
    assert len({row.request_id for row in rows}) == STREAMS
    await _closed([*(writer for _, writer in clients), *beating.writers])
    server.close()
    await server.wait_closed()


async def _closed(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
