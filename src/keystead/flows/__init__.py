"""OAuth conversations as generators: yield a request, receive the response, return the result; no I/O.

A flow is written once and driven by anything: the synchronous client, an asynchronous one, a test with a list
of responses. It yields a :class:`~keystead.wire.http.Request` and is sent a
:class:`~keystead.wire.http.Response`, or yields a :class:`Wait` and is sent ``None`` when the time has passed.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from keystead.wire.http import Request, Response

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Wait:
    """Let ``seconds`` pass before going on."""

    seconds: float


Flow = Generator[Request | Wait, Response | None, Result]
