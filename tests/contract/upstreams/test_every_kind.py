"""One suite for every kind of upstream and every way to prove who asks it: what a client sees, what the vendor sees.

The vendors insist on their credential by their own code (``tests/support/vendor_credentials.py``), so that each row of
the table also proves what the gateway shows.
"""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.eventstream import EventStreamBuffer
from upstreams import upstream
from vendor_credentials import MACHINES, ROWS, Row, Site, nowhere
from vendors import EVENTS, MODEL, SPEECHES, Vendor, vendor

from keystead.server.cloud_credentials.renewed import NEW
from keystead.server.gateway import Limits
from keystead.server.gateway.ports import Kind, RenewedCredential, Upstream
from keystead.testing.clock import FakeClock

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Answer, Running

    from keystead.server.usage.record import UsageRecord

THEIRS = "vendor/claude-x:0"
ODD = (
    b'"new_feature":{"z":1.0e2,"y":123456789012345678901234567890,"x":"\\ud800\xc3\xa9"},'
    b'"system":[{"type":"text","text":"s"}]'
)
REST = b'"max_tokens":16 , "messages":[{"role":"user","content":"x"}],%b' % ODD
SPOKEN = list(
    {row.kind: row for row in ROWS if row.kind in (Kind.ANTHROPIC, Kind.BEDROCK, Kind.VERTEX, Kind.OPENAI)}.values()
)
"""One row for each of the formats: what does not depend on who asks."""
SWIFT = Limits(sweep_seconds=0.02)
COUNT = "/v1/messages/count_tokens"


def body(*, stream: bool = False) -> bytes:
    return b'{"model":"%b",%b%b}' % (MODEL.encode(), b'"stream":true, ' if stream else b"", REST)


@dataclass
class Place:
    """A gateway before one vendor."""

    row: Row
    vendor: Vendor
    upstream: Upstream
    running: "Running"

    def ask(self, *lines: str, stream: bool = False, target: str = "") -> "Answer":
        return self.running.ask(body(stream=stream), *lines, target=target or self.vendor.speech.target)

    @property
    def counts(self) -> tuple[int, ...]:
        return counts(self.running.ledger.wait()[-1])


def counts(row: "UsageRecord") -> tuple[int, ...]:
    return (*row[14:18], row.cache_write_1h_tokens, row.web_searches)


@pytest.fixture
def at(
    serve: "Callable[..., Running]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Place]]:
    """Return a function that runs a vendor, and a gateway before it with the row's credential."""
    nowhere(monkeypatch, tmp_path)
    with contextlib.ExitStack() as stack:

        def place(row: Row, behind: tuple[Upstream, ...] = (), **more: Any) -> Place:
            one = stack.enter_context(vendor(row.kind))
            credential, one.trusts = row.make(Site(one, tmp_path, monkeypatch, stack))
            usual = {"region": "global", "project": "p-1", "models": {MODEL: THEIRS}, "headers": row.headers}
            first = upstream(one.base_url, "first", kind=row.kind, credential=credential, **usual | more)
            return Place(row, one, first, serve(SWIFT, upstreams=[first, *behind]))

        yield place


def every(rows: "tuple[Row, ...] | list[Row]") -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.id for row in rows])


# -- what is answered ------------------------------------------------------------------------------------------------


@every(ROWS + MACHINES)
@pytest.mark.requirement("G-01 every kind", "G-11 every kind")
def test_a_document_arrives_as_it_was_sent_and_is_counted(at: Callable[..., Place], row: Row) -> None:
    place = at(row)
    answer = place.ask()
    speech = place.vendor.speech
    assert (answer.status, answer.body) == (200, speech.whole)
    assert place.counts == speech.counted
    (kept,) = place.running.ledger.rows
    assert (kept.upstream_kind, kept.status, kept.streamed, kept.aborted, kept.estimated, kept.model) == (
        row.kind.value, 200, False, False, False, MODEL,
    )  # fmt: skip


@every(ROWS)
@pytest.mark.requirement("G-01 every kind", "G-11 every kind")
def test_a_stream_arrives_event_by_event_with_its_pings_and_is_counted(at: Callable[..., Place], row: Row) -> None:
    place = at(row)
    answer = place.ask(stream=True)
    speech = place.vendor.speech
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert dechunked(answer.body) == speech.told
    assert b"ping" in speech.told or row.kind is Kind.OPENAI
    assert place.counts == speech.counted
    (kept,) = place.running.ledger.rows
    assert (kept.streamed, kept.aborted, kept.estimated) == (True, False, False)


def dechunked(raw: bytes) -> bytes:
    parts: list[bytes] = []
    rest = raw
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            assert rest == b"\r\n", "something follows the last chunk"
            return b"".join(parts)
        parts.append(rest[:length])
        assert rest[length : length + 2] == b"\r\n"
        rest = rest[length + 2 :]


@every([row for row in ROWS if row.kind is not Kind.OPENAI])
def test_tokens_are_counted_or_it_is_said_that_they_cannot_be(at: Callable[..., Place], row: Row) -> None:
    place = at(row)
    answer = place.ask(target=COUNT)
    if place.vendor.speech.counts:
        assert (answer.status, answer.body) == (200, b'{ "input_tokens" : 3 }')
    else:
        assert (answer.status, answer.error["type"], place.vendor.asked) == (501, "not_supported", [])
    assert place.running.ledger.rows == []


# -- what is asked ---------------------------------------------------------------------------------------------------


@every(ROWS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.requirement("G-11 every kind", "G-07 every kind")
def test_what_nobody_knows_yet_passes_and_no_credential_of_the_clients(
    at: Callable[..., Place], row: Row, stream: bool
) -> None:
    place = at(row)
    passed = {
        "anthropic-new-thing": "1",
        "x-claude-code-session-id": "s1",
        "x-claude-code-new": "2",
        "user-agent": "a/1",
    }
    betas = ["anthropic-beta: b-1,b-2", "anthropic-version: 2026-10-21"]
    private = ["api-key: canary", "x-goog-api-key: canary", "cookie: canary=1", "x-amz-security-token: canary"]
    private += ["x-amz-date: 20200101T000000Z", "x-amz-content-sha256: canary"]
    lines = [f"{name}: {value}" for name, value in passed.items()]
    assert place.ask(*lines, *betas, *private, stream=stream).status == 200
    (asked,) = place.vendor.asked
    assert passed.items() <= asked.headers.items()
    assert "canary" not in str({**asked.headers, "authorization": "", "x-api-key": "", "api-key": ""}).replace(
        "session-token-canary", ""
    )
    assert place.running.key not in str(asked)
    assert asked.path == target(row.kind, stream=stream)
    assert asked.headers["accept-encoding"] == "identity"
    assert dict(row.headers).items() <= asked.headers.items()
    sent = asked.body.encode()
    renamed = body(stream=stream).replace(MODEL.encode(), THEIRS.encode())
    if place.vendor.speech.same_body:
        assert sent == renamed
        assert asked.headers["anthropic-version"] == "2026-10-21"
    else:
        assert REST.replace(b" , ", b",") in sent.replace(b" , ", b",")
        assert ("model" in json.loads(sent)) is False
        assert "anthropic-version" not in asked.headers
    _betas_are_in_their_place(row, asked.headers, json.loads(sent))


def target(kind: Kind, *, stream: bool) -> str:
    """Return the path that a vendor has for a message, with the vendor's own name of the model."""
    place = "/v1/projects/p-1/locations/global/publishers/anthropic/models/"
    return {
        Kind.BEDROCK: f"/model/vendor%2Fclaude-x%3A0/invoke{'-with-response-stream' if stream else ''}",
        Kind.VERTEX: f"{place}vendor%2Fclaude-x%3A0:{'streamRawPredict' if stream else 'rawPredict'}",
        Kind.FOUNDRY: "/anthropic/v1/messages?beta=true",
        Kind.OPENAI: "/v1/chat/completions",
    }.get(kind, "/v1/messages?beta=true")


def _betas_are_in_their_place(row: Row, headers: dict[str, str], document: dict[str, Any]) -> None:
    if row.kind is Kind.BEDROCK:
        assert document["anthropic_beta"] == ["b-1", "b-2"]
        assert document["anthropic_version"] == "bedrock-2023-05-31"
        assert "anthropic-beta" not in headers
        return
    assert "b-1,b-2" in headers["anthropic-beta"]
    assert "anthropic_beta" not in document
    assert document.get("anthropic_version") == ("vertex-2023-10-16" if row.kind is Kind.VERTEX else None)


# -- what goes wrong -------------------------------------------------------------------------------------------------


@every(ROWS)
@pytest.mark.parametrize("status", [400, 529])
@pytest.mark.requirement("G-11 errors")
def test_an_error_passes_unmodified_or_in_the_clients_envelope(at: Callable[..., Place], row: Row, status: int) -> None:
    place = at(row)
    place.vendor.error = status
    answer = place.ask(stream=True)
    said = place.vendor.speech.error(status, "The vendor says no.")
    assert (answer.status, answer.headers["retry-after"]) == (status, "7")
    if place.vendor.speech.enveloped:
        document = json.loads(answer.body)
        assert (document["type"], document["error"]["message"]) == ("error", "The vendor says no.")
    else:
        assert answer.body == said
    (kept,) = place.running.ledger.wait()
    assert (kept.status, counts(kept)) == (status, (0,) * 6)


@every(SPOKEN)
@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.requirement("G-11 errors")
def test_what_the_only_upstream_refuses_is_the_clients_to_read(at: Callable[..., Place], row: Row, status: int) -> None:
    place = at(row)
    if status == 401:
        place.vendor.trusts = lambda _: False
    else:
        place.vendor.error = status
    answer = place.ask()
    said = "Who are you?" if status == 401 else "The vendor says no."
    assert answer.status == status
    if place.vendor.speech.enveloped:
        assert json.loads(answer.body)["error"]["message"] == said
    else:
        assert answer.body == place.vendor.speech.error(status, said)


@every([row for row in ROWS + MACHINES if row.ends])
@pytest.mark.parametrize("stream", [False, True])
def test_a_credential_that_is_refused_is_renewed_before_its_time(
    at: Callable[..., Place], row: Row, stream: bool
) -> None:
    place = at(row)
    trusted, place.vendor.trusts = place.vendor.trusts, lambda _: False
    assert place.ask(stream=stream).status == 401
    credential = place.upstream.credential
    assert isinstance(credential, RenewedCredential)
    before = credential.version
    later(credential)
    credential.refresh()
    place.vendor.trusts = trusted
    assert credential.version == before + 1
    assert place.ask(stream=stream).status == 200


def later(credential: Any) -> None:
    """Have what it shows no longer be new."""
    clock = FakeClock(credential._clock.now())
    clock.advance(NEW)
    credential._clock = clock


@every(ROWS)
def test_a_credential_that_is_refused_leads_to_the_next(at: Callable[..., Place], row: Row) -> None:
    second = at(row)
    first = at(row, behind=(second.upstream,))
    first.vendor.trusts = lambda _: False
    assert first.ask().body == first.vendor.speech.whole
    assert (first.vendor.refused, second.vendor.refused) == (1, 0)
    (kept,) = first.running.ledger.wait()
    assert counts(kept) == first.vendor.speech.counted


NEXT = (401, 403, 404, 429, 500, 502, 503, 504, 529)
FINAL = (400, 402, 405, 409, 413, 415, 422, 431)


@every(SPOKEN)
@pytest.mark.requirement("G-01 failover")
def test_each_status_leads_to_the_next_or_is_final(at: Callable[..., Place], row: Row) -> None:
    second = at(row)
    first = at(row, behind=(second.upstream,))
    for number, status in enumerate((*NEXT, *FINAL), 1):
        first.vendor.error = status
        first.running.gateway.health.succeeded(first.upstream)  # its circuit is another test's
        answer = first.ask(stream=number % 2 == 0)
        kept = first.running.ledger.wait(number)[-1]
        assert (answer.status, kept.status) == ((200, 200) if status in NEXT else (status, status)), status
        assert counts(kept) == (first.vendor.speech.counted if status in NEXT else (0,) * 6), status
    assert len(second.vendor.asked) == len(NEXT)


@every(SPOKEN)
@pytest.mark.requirement("G-01 failover")
def test_a_vendor_that_thinks_too_long_is_passed_by(at: Callable[..., Place], row: Row) -> None:
    second = at(row)
    first = at(row, behind=(second.upstream,), first_byte_seconds=0.05)
    first.vendor.late = 30.0
    assert first.ask(stream=True).status == 200
    first.vendor.released.set()
    assert (len(first.vendor.asked), len(second.vendor.asked)) == (1, 1)


@every(SPOKEN)
@pytest.mark.requirement("G-01 failover")
def test_after_the_first_event_nobody_else_is_asked(at: Callable[..., Place], row: Row) -> None:
    second = at(row)
    first = at(row, behind=(second.upstream,))
    first.vendor.dies_after = len(first.vendor.whole_answer(stream=True)) - 20
    received, complete = relayed(first, body(stream=True))
    assert received.startswith(b"HTTP/1.1 200")
    assert not complete
    assert second.vendor.asked == []
    (kept,) = first.running.ledger.wait()
    assert (kept.upstream, kept.aborted) == ("first", True)
    assert kept.input_tokens > 0


def test_an_event_stream_that_dies_within_its_first_message_has_not_begun(at: Callable[..., Place]) -> None:
    row = next(row for row in ROWS if row.kind is Kind.BEDROCK)
    second = at(row)
    first = at(row, behind=(second.upstream,))
    head = first.vendor.whole_answer(stream=True).index(b"\r\n\r\n") + 4
    first.vendor.dies_after = head + 40
    assert dechunked(first.ask(stream=True).body) == second.vendor.speech.told
    (kept,) = first.running.ledger.wait()
    assert (kept.status, kept.aborted, counts(kept)) == (200, False, second.vendor.speech.counted)


@every(SPOKEN)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.requirement("G-01 any byte")
def test_a_vendor_that_dies_anywhere_is_never_taken_for_a_whole_answer(
    at: Callable[..., Place], row: Row, stream: bool
) -> None:
    place = at(row)
    whole = place.vendor.whole_answer(stream=stream)
    head = whole.index(b"\r\n\r\n") + 4
    cuts = [*range(0, len(whole), 17), head - 1, head, head + 1, len(whole) - 1, len(whole)]
    for number, cut in enumerate(cuts, 1):
        place.vendor.dies_after = cut
        answer, complete = relayed(place, body(stream=stream))
        case = f"{cut} of {head} + {len(whole) - head} bytes: {answer!r}"
        kept = place.running.ledger.wait(number)[-1]
        if cut == len(whole):
            assert (complete, kept.aborted, counts(kept)) == (True, False, place.vendor.speech.counted), case
        elif answer.startswith(b"HTTP/1.1 200"):
            assert not complete, case
            assert kept.aborted, case
        else:
            assert (complete, answer[:12]) == (True, b"HTTP/1.1 502"), case
    rows = place.running.ledger.rows
    assert len({one.id for one in rows}) == len(rows) == len(cuts)


def relayed(place: Place, asked: bytes) -> tuple[bytes, bool]:
    """Return what a client receives, and whether by the framing it is a whole answer."""
    raw = b""
    running = place.running
    with running.connect() as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(
            running.head("connection: close", length=len(asked), target=place.vendor.speech.target) + asked
        )
        while data := connection.recv(65536):
            raw += data
    head, end, rest = raw.partition(b"\r\n\r\n")
    if not end:
        return raw, False
    if b"transfer-encoding: chunked" in head:
        return raw, rest.endswith(b"0\r\n\r\n")
    return raw, len(rest) == int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])


@every(ROWS)
@pytest.mark.requirement("G-01 every kind")
def test_a_client_that_leaves_ends_the_vendors_work(at: Callable[..., Place], row: Row) -> None:
    place = at(row)
    place.vendor.silent_after = 1
    asked = body(stream=True)
    running = place.running
    with running.connect() as connection:
        connection.sendall(running.head(length=len(asked), target=place.vendor.speech.target) + asked)
        received = b""
        while b"\n\n" not in received:
            received += connection.recv(65536)
    assert place.vendor.left.wait(60), "the vendor goes on working for nobody"
    (kept,) = running.ledger.wait()
    assert (kept.status, kept.aborted, kept.estimated) == (200, True, True)
    assert kept.input_tokens > 0


def test_amazons_stream_is_what_its_own_sdk_reads() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(SPEECHES[Kind.BEDROCK].pieces))
    read = [json.loads(message.payload)["bytes"] for message in buffer]
    assert [base64.b64decode(one).decode() for one in read] == [data for _, data in EVENTS]


def test_the_table_has_every_kind_and_the_stream_every_event() -> None:
    assert {row.kind for row in ROWS} == set(Kind)
    assert len(EVENTS) == 6
