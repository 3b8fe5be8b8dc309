"""Recognising a head that repeats changes what a request costs and nothing else, however it is cut into segments."""

import asyncio
import itertools
import re
from typing import Any, Final
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from keystead.secret import Secret
from keystead.server.dpop import Checker, Memory
from keystead.server.fixed_credential import FixedCredential
from keystead.server.gateway import Gateway, Limits
from keystead.server.gateway.known_head import KnownHead
from keystead.server.gateway.ports import Kind, Upstream
from keystead.server.gateway.upstream import Connection
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.usage.record import UsageRecord

PRINCIPAL: Final = Principal(
    kind=PrincipalKind.API_KEY, id="key_1", organization_id="org_1", workspace_id="wrk_1", member_id="mem_1"
)
UPSTREAM: Final = Upstream(
    "one", "one", Kind.ANTHROPIC, "http://127.0.0.1:9", FixedCredential(Secret("upstream-credential"))
)
USED: Final = b'{"usage":{"input_tokens":1,"output_tokens":20}}'
ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(USED), USED)
REASON: Final = re.compile(rb"(HTTP/1.1 400 Bad Request).*?(?=HTTP/1.1|\Z)", re.DOTALL)
"""What is no request and what is one too many are told apart by the parser alone; both are refused."""
PARSE: Final = HttpToolsProtocol.data_received
BODY: Final = b'{"model":"claude","messages":["%b"]}'


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, pieces: list[bytes]) -> None:
        self.written += b"".join(pieces)

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        """Everything is given piece by piece anyway."""

    resume_reading = pause_reading

    def get_extra_info(self, _name: str) -> None:
        return None


class Everybody:
    def by_key(self, _: bytes) -> Principal:
        return PRINCIPAL

    def by_bearer(self, _: bytes) -> Principal:
        return PRINCIPAL


class Rows:
    saturated = False

    def __init__(self) -> None:
        self.rows: list[UsageRecord] = []

    def append(self, record: UsageRecord) -> None:
        self.rows.append(record)


async def served(segments: list[bytes]) -> tuple[bytes, bool, bytes, list[Any]]:
    """Give segments to one connection; returns what the client got, whether it is closed, what went upstream, rows."""
    numbers, ledger, loop = itertools.count(), Rows(), asyncio.get_running_loop()
    gateway = Gateway(
        directory=Everybody(),
        ledger=ledger,
        upstreams=lambda _: [UPSTREAM],
        origin="http://gateway",
        proofs=Checker(None, Memory().spend),  # type: ignore[arg-type]  # no token is bound
        limits=Limits(body_bytes=3_000),
        new_hex=lambda: f"{next(numbers):032x}",
    )
    config = Config(gateway.asgi(), http=gateway.http_protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    protocol, client, upstream = gateway.http_protocol(config, ServerState(), {}, loop), Wire(), Wire()
    protocol.connection_made(client)
    connection = Connection(gateway.pools.of(UPSTREAM))
    connection.connection_made(upstream)  # type: ignore[arg-type]
    gateway.pools.of(UPSTREAM).give_back(connection)
    for segment in segments:
        before = len(upstream.written)
        protocol.data_received(segment)
        if len(upstream.written) > before:
            connection.data_received(ANSWER)
    closed = client.closed
    protocol.connection_lost(None)
    gateway.close()
    return (
        REASON.sub(rb"\1", client.written),
        closed,
        upstream.written,
        [(row.id, row.model, row.status) for row in ledger.rows],
    )


def request(body: bytes, *lines: bytes, length: int | None = None) -> bytes:
    head = (b"POST /v1/messages HTTP/1.1", b"host: gateway", b"x-api-key: ksk_1", *lines)
    return b"\r\n".join([*head, b"content-length: %d" % (len(body) if length is None else length), b"", body])


LINES: Final = st.sampled_from(
    [b"accept: a", b"accept: b", b"connection: close", b"expect: 100-continue", b"upgrade: h2c"]
)


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """One to five requests, often with the same head, each cut anywhere or in one piece; now and then two at once."""
    segments: list[bytes] = []
    usual = draw(LINES)
    for _ in range(draw(st.integers(1, 5))):
        body = BODY % (b"x" * draw(st.integers(0, 4_000)))
        length = draw(st.sampled_from([None, None, None, None, 0, 20, 5_000]))
        one = request(body, draw(st.sampled_from([usual, usual, usual, draw(LINES)])), length=length)
        one += draw(st.sampled_from([b"", b"", b"", b"P", one]))
        cuts = sorted({0, len(one), *draw(st.lists(st.integers(0, len(one)), max_size=3)), one.find(b"\r\n\r\n") + 4})
        whole = draw(st.booleans())
        segments += [one] if whole else [one[start:end] for start, end in itertools.pairwise(cuts)]
    return segments


@given(conversations())
@example([request(BODY % b"a")] * 3)
@example([request(BODY % b"a"), request(b"", length=10), b"{" * 10])
@example([request(BODY % b"a"), request(b"", length=5_000), b"x" * 50])
@example([request(BODY % b"a"), request(b"", length=10), b"x" * 5, b"x" * 6])
def test_a_head_that_is_recognised_leads_to_the_same_bytes(segments: list[bytes]) -> None:
    quick = asyncio.run(served(segments))
    with patch.object(KnownHead, "of", return_value=None):
        slow = asyncio.run(served(segments))
    assert quick == slow


def test_the_second_body_of_an_agent_is_sent_on_when_its_last_piece_has_come() -> None:
    """Its head comes by itself, as official SDKs send it, and only the first is parsed."""
    body = BODY % (b"y" * 2_000)
    head, _, _ = request(body).partition(body)
    pieces = [head, body[:700], body[700:1_500], body[1_500:]]
    with patch.object(HttpToolsProtocol, "data_received", autospec=True, side_effect=PARSE) as parser:
        client, closed, upstream, rows = asyncio.run(served([*pieces, *pieces]))
    assert parser.call_count == len(pieces)
    assert (client.count(b"HTTP/1.1 200"), closed, upstream.count(body), len(rows)) == (2, False, 2, 2)
