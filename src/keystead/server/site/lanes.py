"""Where the endpoints that programs call are answered: threads whose database connections stay open.

On SQLite one thread answers everything that waits for it in one transaction and one commit: writers take turns there
anyhow, and the disk is what a commit waits for. Each request is still undone alone when it is refused, since its own
transaction is a savepoint of that one; and no answer leaves before the commit has returned. What may have to wait for
another server is answered by the other threads, each request by itself. On other databases all requests are.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from django.db import DatabaseError, close_old_connections, connection, transaction

from keystead.server import remembered
from keystead.server.authorization.refusals import MustWait, Refusal
from keystead.server.authorization.views.posted import Asked, Endpoint, Reply, refused
from keystead.server.transactions import turn

TOGETHER: Final = 32
"""At most so many requests share a commit: the first one waits for the last."""
_LOG: Final = logging.getLogger("keystead.server")
_BUSY: Final = Refusal(
    "temporarily_unavailable", "The database does not answer. Try again shortly.", 503, {"Retry-After": "5"}
)
_BROKEN: Final = Refusal(
    "server_error", "Something broke on this server. Its log says what; try again, or ask who runs it.", 500
)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request, and who is told its answer, on which event loop."""

    endpoint: Endpoint
    asked: Asked
    tell: Callable[[Reply], None]
    loop: asyncio.AbstractEventLoop


_Queue = SimpleQueue[_Waiting | None]
"""None ends a thread that reads it."""


class Lanes:
    """The threads, until :meth:`close`.

    Args:
        workers: how many answer requests by themselves.
        together: whether one more answers those together that need not wait; for SQLite.
    """

    def __init__(self, workers: int, *, together: bool) -> None:
        self._alone: _Queue = SimpleQueue()
        self._together: _Queue = SimpleQueue()
        self._first = self._together if together else self._alone
        self._workers = [Thread(target=self._one_by_one, name=f"token endpoint {number}") for number in range(workers)]
        self._committer = [Thread(target=self._many, name="token endpoint, together")] if together else []
        for thread in (*self._workers, *self._committer):
            thread.start()

    def ask(self, endpoint: Endpoint, asked: Asked, tell: Callable[[Reply], None]) -> None:
        """Tell the answer to one request later, on this event loop; what it wrote is in the database by then."""
        self._first.put(_Waiting(endpoint, asked, tell, asyncio.get_running_loop()))

    async def reply(self, endpoint: Endpoint, asked: Asked) -> Reply:
        """Return the answer to one request, as :meth:`ask` tells it."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def tell(reply: Reply) -> None:
            if not answer.done():  # whoever asked may have gone
                answer.set_result(reply)

        self.ask(endpoint, asked, tell)
        return await answer

    def close(self) -> None:
        """Answer what waits, then end the threads; those that hand on end first."""
        for queue, threads in ((self._together, self._committer), (self._alone, self._workers)):
            for _ in threads:
                queue.put(None)
            for thread in threads:
                thread.join()

    def _one_by_one(self) -> None:
        while (one := self._alone.get()) is not None:
            _by_itself(one)
        connection.close()

    def _many(self) -> None:
        more = True
        while more:
            batch, more = self._next()
            if batch:
                self._answer(batch)
        connection.close()

    def _next(self) -> tuple[list[_Waiting], bool]:
        """Return what waits, once something does, and whether more may come."""
        batch: list[_Waiting] = []
        one = self._together.get()
        while one is not None:
            batch.append(one)
            if len(batch) == TOGETHER:
                return batch, True
            try:
                one = self._together.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _answer(self, batch: list[_Waiting]) -> None:
        """Answer all, or hand on what has to wait; when anything is not as it should be, hand on all of it, undone."""
        try:
            with turn(), transaction.atomic():
                replies = [(one, _at_once(one)) for one in batch]
        except Exception as error:  # noqa: BLE001  by itself each is answered, and the one that failed says why
            _LOG.warning("requests to the token endpoint are answered one by one: %s", type(error).__name__)
            remembered.forget()  # it may have seen what was undone
            replies = [(one, None) for one in batch]
        for one, reply in replies:
            if reply is None:
                self._alone.put(one)
        _deliver([(one, reply) for one, reply in replies if reply is not None])


def _at_once(one: _Waiting) -> Reply | None:
    try:
        return one.endpoint.reply(one.asked, at_once=True)
    except MustWait:
        return None


def _by_itself(one: _Waiting) -> None:
    _guarded(close_old_connections)
    try:
        reply = one.endpoint.reply(one.asked)
    except DatabaseError as error:
        _LOG.error("%s: the database does not answer: %s", one.asked.path, type(error).__name__)
        reply = refused(_BUSY)
    except Exception:  # noqa: BLE001  the client is told, the log says what
        _LOG.exception("%s could not be answered", one.asked.path)
        reply = refused(_BROKEN)
    _guarded(close_old_connections)
    _deliver([(one, reply)])


def _guarded(work: Callable[[], object]) -> None:
    try:
        work()
    except DatabaseError:  # whatever needs the connection next says so
        _LOG.warning("a connection to the database could not be closed")


def _deliver(replies: list[tuple[_Waiting, Reply]]) -> None:
    """Bring the answers to the event loop, in one go."""
    if not replies:
        return
    try:
        replies[0][0].loop.call_soon_threadsafe(_hand_over, replies)
    except RuntimeError:  # the loop has ended, and with it the connections that waited
        _LOG.warning("%d answers came after the end of the server", len(replies))


def _hand_over(replies: list[tuple[_Waiting, Reply]]) -> None:
    for one, reply in replies:
        one.tell(reply)
