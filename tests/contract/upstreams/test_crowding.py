"""Bodies that begin and do not end take no more memory than they may, and not that of other callers."""

import json
import select
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.gateway import Limits
from keystead.server.gateway.crowding import given_up

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

PART = 100_000


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_whoever_begins_many_large_bodies_loses_theirs(serve: Callable[..., "Running"], framing: str) -> None:
    running = serve(Limits(arriving_bytes=10 * PART, sweep_seconds=0.05))
    said = "content-length: 9000000" if framing == "length" else "transfer-encoding: chunked"
    size = b"" if framing == "length" else b"%x\r\n" % 9_000_000
    body = json.dumps({"model": "keystead-test-1", "max_tokens": 9, "messages": []}).encode()
    with ExitStack() as stack:
        other = stack.enter_context(running.connect())
        other.sendall(running.head(length=len(body), key=running.other_key) + body[:-1])
        many = [stack.enter_context(running.connect()) for _ in range(12)]
        for one in many:
            one.sendall(running.head(said) + size + b" " * PART)
        refused = running.read(_first_answered(many))
        other.sendall(body[-1:])
        answered = running.read(other)
    assert (refused.status, refused.error["type"], refused.headers["retry-after"]) == (529, "overloaded_error", "5")
    assert refused.headers["connection"] == "close"
    assert answered.status == 200


def _first_answered(connections: list[socket.socket]) -> socket.socket:
    found, _, _ = select.select(connections, [], [], 10)
    assert found, "nothing was refused"
    return found[0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100))), st.integers(0, 500))
def test_what_is_left_fits_and_nothing_is_given_up_in_vain(arriving: list[tuple[str, int]], most: int) -> None:
    chosen = given_up(arriving, most)
    left = sum(size for place, (_, size) in enumerate(arriving) if place not in chosen)
    assert left <= most
    assert len(set(chosen)) == len(chosen)
    if chosen:
        assert left + arriving[chosen[-1]][1] > most


def test_the_caller_with_most_is_first_and_their_largest_body() -> None:
    assert given_up([("a", 50), ("b", 60), ("a", 20), ("b", 5)], 100) == [0]
    assert given_up([("a", 50), ("b", 60), ("a", 20), ("b", 5)], 50) == [0, 1]
    assert given_up([("a", 50)], 50) == []
