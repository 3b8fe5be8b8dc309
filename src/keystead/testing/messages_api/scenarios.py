"""What the fake does besides answering: one table of words, asked for in a header or in the question itself.

``x-keystead-fake: error=529`` or, in the last user message, the same words after ``x-keystead-fake:``. Several
are separated by commas: ``x-keystead-fake: pings=2, cache, framing=close``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

HEADER: Final = "x-keystead-fake"
_IN_TEXT: Final = re.compile(r"x-keystead-fake:\s*([a-z0-9=., _-]+)")


@dataclass(frozen=True, slots=True)
class Scenario:
    """How to answer one request.

    Attributes:
        error: answer with this status and its documented error type.
        cache: report cache tokens in ``usage`` too.
        searches: report so many web searches in ``usage``.
        words: send this many words after the plain sentence, one event each when streaming.
        size: fill each of these words up to this many characters.
        pings: send this many ``ping`` events after ``message_start``.
        slow: seconds between two writes of a stream.
        late: seconds before the first byte.
        abort: cut the connection (RST) after this many writes of the answer; 0 is before the first byte.
        hang: stop after this many writes and wait until the client goes away.
        drop: close without an answer, as a stale keep-alive connection does, but only on a reused connection.
        framing: ``chunked``, ``length`` or ``close``: how the end of the body is told.
        split: write the answer in pieces of this many bytes, to put every boundary everywhere; 0 is whole events.
        informational: send ``103 Early Hints`` first.
    """

    error: int | None = None
    cache: bool = False
    searches: int = 0
    words: int = 0
    size: int = 0
    pings: int = 0
    slow: float = 0.0
    late: float = 0.0
    abort: int | None = None
    hang: int | None = None
    drop: bool = False
    framing: str = ""
    split: int = 0
    informational: bool = False


_WORDS: Final[dict[str, Callable[[str], Any]]] = {
    "error": int,
    "cache": lambda _: True,
    "searches": int,
    "words": int,
    "size": int,
    "pings": int,
    "slow": lambda text: float(text or 0.05),
    "late": lambda text: float(text or 1.0),
    "abort": lambda text: int(text or 3),
    "hang": lambda text: int(text or 3),
    "drop": lambda _: True,
    "framing": str,
    "split": int,
    "informational": lambda _: True,
}


def parse(text: str) -> Scenario:
    """Return the scenario that ``text`` asks for.

    Raises:
        ValueError: a word is unknown or its value is not of its type.
    """
    scenario = Scenario()
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name not in _WORDS:
            raise ValueError(f"{name!r} is not one of {', '.join(_WORDS)}")
        scenario = replace(scenario, **{name: _WORDS[name](value)})
    return scenario


def requested(headers: dict[str, str], question: str, usual: Scenario) -> Scenario:
    """Return the scenario of a request: the header counts first, then the words in the question, then what is usual."""
    if HEADER in headers:
        return parse(headers[HEADER])
    found = _IN_TEXT.search(question)
    return parse(found[1]) if found else usual
