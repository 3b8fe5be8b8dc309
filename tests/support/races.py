"""Many at once: the same request from many threads, each with a database connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.test import Client

THREADS = 16


def together(act: Callable[["Client"], Any]) -> list[Any]:
    """Do the same in :data:`THREADS` threads, which begin together, and return what each saw."""
    from django.db import connections
    from django.test import Client

    barrier = Barrier(THREADS)

    def one(_: int) -> Any:
        barrier.wait()
        try:
            return act(Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))
