"""What passes through, what is swapped, and what each side learns when the other one fails."""

import contextlib
import json
import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from keystead.server.gateway import DirectoryUnavailable, Limits

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Answer, Running

GOLDEN = (
    '{ "model" : "keystead-test-1",\n\t"max_tokens":16, "new_feature": {"z": 1.0e2, "a": [1,2 ,3]},'
    '"system":[{"type":"text","text":"second"},{"type":"text","text":"ünï\\u00e9 \\"model\\""}],'
    '"messages":[{"content":"x","role":"user"}]}  \n'
).encode()


def body(text: str = "hello", *, stream: bool = False) -> bytes:
    document = {"max_tokens": 16, "messages": [{"role": "user", "content": text}], "model": "keystead-test-1"}
    return json.dumps(document | ({"stream": True} if stream else {})).encode()


# -- byte for byte ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("G-11 golden")
@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens?beta=true&x=%20"]
)
def test_body_and_query_arrive_byte_for_byte(running: "Running", path: str) -> None:
    assert running.ask(GOLDEN, target=path).status == 200
    (recorded,) = running.api.requests
    assert (recorded.target, recorded.body) == (path, GOLDEN)
    assert recorded.headers["content-length"] == str(len(GOLDEN))


def test_large_body_in_small_pieces_arrives_byte_for_byte(running: "Running") -> None:
    large = body("x" * 700_000)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _parts(large, 9_999)) + b"0\r\n\r\n"
    answer = running.send(running.head("transfer-encoding: chunked") + chunks)
    assert answer.status == 200
    assert running.api.requests[0].body == large


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_headers_split_over_segments_are_understood(running: "Running") -> None:
    raw = running.head("anthropic-beta: a,b", length=len(GOLDEN)) + GOLDEN
    with running.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in _parts(raw, 7):
            connection.sendall(part)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert running.api.requests[0].headers["anthropic-beta"] == "a,b"


def test_open_lists_of_headers_pass_and_private_ones_do_not(running: "Running") -> None:
    passed = {
        "anthropic-version": "2026-10-21",
        "anthropic-new-thing": "1",
        "x-claude-code-session-id": "s1",
        "User-Agent": "agent/1",
    }
    private = [
        "cookie: canary=1",
        "proxy-authorization: Basic canary",
        "x-goog-api-key: canary",
        "api-key: canary",
        "x-forwarded-for: canary",
        "x-hop: canary",
        "connection: keep-alive, x-hop",
        "te: canary",
        "accept-encoding: gzip",
        f"authorization: Bearer {running.bearer}",
    ]
    assert running.ask(GOLDEN, *(f"{name}: {value}" for name, value in passed.items()), *private).status == 200
    (recorded,) = running.api.requests
    assert passed.items() <= {**recorded.headers, "User-Agent": recorded.headers["user-agent"]}.items()
    assert "canary" not in repr([line for line in recorded.raw_headers if line[0] != "x-api-key"])
    assert recorded.headers["accept-encoding"] == "identity"
    assert recorded.headers["x-api-key"] == "upstream-key-canary"
    (row,) = running.ledger.wait()
    assert (row.session_id, row.client, row.principal_id) == ("s1", "agent/1", "gra_1")


@pytest.mark.requirement("G-11 answers")
@pytest.mark.parametrize(
    "scenario", ["", "framing=close", "framing=chunked", "split=1", "split=3", "informational", "error=529"]
)
@pytest.mark.parametrize("stream", [False, True])
def test_answer_passes_unchanged_whatever_its_framing(running: "Running", scenario: str, stream: bool) -> None:
    asked = body("hello", stream=stream)
    answer = running.ask(asked, f"x-keystead-fake: {scenario}")
    direct = _direct(running, asked, scenario)
    same = {"content-type", "transfer-encoding", "content-length", "retry-after", "x-keystead-upstream"}
    assert _without_ids(answer.body) == _without_ids(direct.body)
    assert answer.status == direct.status
    assert {k: v for k, v in answer.headers.items() if k in same} == {
        k: v for k, v in direct.headers.items() if k in same
    }
    (row,) = running.ledger.wait()
    assert (row.output_tokens, row.aborted) == (0 if "error" in scenario else 3, False)


def _direct(running: "Running", asked: bytes, scenario: str) -> "Answer":
    """Return what the upstream itself answers, without the gateway."""
    with socket.create_connection(("127.0.0.1", int(running.api.base_url.rpartition(":")[2]))) as connection:
        connection.sendall(
            running.head(f"x-keystead-fake: {scenario}", length=len(asked), key="upstream-key-canary") + asked
        )
        return running.read(connection)


def _without_ids(data: bytes) -> bytes:
    return re.sub(rb"(msg|req_fake)_\d+", b"ID", data)


def test_old_client_gets_an_answer_without_chunks(running: "Running") -> None:
    asked = body(stream=True)
    raw = running.head(length=len(asked)).replace(b"HTTP/1.1", b"HTTP/1.0") + asked
    answer = running.send(raw)
    assert "transfer-encoding" not in answer.headers
    assert answer.headers["connection"] == "close"
    assert answer.body.startswith(b"event: message_start\n")
    assert answer.body.endswith(b'{"type":"message_stop"}\n\n')


def test_continue_is_sent_when_asked_for(running: "Running") -> None:
    with running.connect() as connection:
        connection.sendall(running.head("expect: 100-continue", length=len(GOLDEN)))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(GOLDEN)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_connection_is_reused_on_both_sides(running: "Running") -> None:
    with running.connect() as connection:
        for _ in range(3):
            connection.sendall(running.head(length=len(GOLDEN)) + GOLDEN)
            assert running.read(connection).status == 200
    assert {recorded.connection for recorded in running.api.requests} == {1}


# -- when a side fails -----------------------------------------------------------------------------------------------


def test_stale_upstream_connection_is_replaced_without_the_client_noticing(running: "Running") -> None:
    assert running.ask().status == 200
    assert running.ask(None, "x-keystead-fake: drop").status == 200
    assert [recorded.connection for recorded in running.api.requests] == [1, 1, 2]


def test_upstream_that_dies_before_its_answer_is_502(running: "Running") -> None:
    answer = running.ask(None, "x-keystead-fake: slow=0.001, abort=0")
    assert answer.status == 502
    assert answer.error["type"] == "api_error"
    (row,) = running.ledger.wait()
    assert (row.status, row.request_id) == (502, answer.headers["x-request-id"])


@pytest.mark.parametrize("writes", [1, 2, 4])
def test_upstream_that_dies_in_the_stream_is_no_clean_end(running: "Running", writes: int) -> None:
    answer_raw = b""
    asked = body(f"x-keystead-fake: words=9, slow=0.05, abort={writes}", stream=True)  # a reset may overtake its data
    with running.connect() as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(running.head(length=len(asked)) + asked)
        while data := connection.recv(65536):
            answer_raw += data
    relayed = answer_raw.partition(b"\r\n\r\n")[2]  # without the head, whose last line can end in a 0 as well
    assert not relayed.endswith(b"0\r\n\r\n")
    (row,) = running.ledger.wait()
    assert (row.status, row.aborted, row.estimated) == (200, True, True)
    assert row.input_tokens > 0


def test_client_that_leaves_stops_the_upstream(running: "Running") -> None:
    asked = body("x-keystead-fake: hang=4", stream=True)
    with running.connect() as connection:
        connection.sendall(running.head(length=len(asked)) + asked)
        while b"This is Keystead" not in connection.recv(65536):
            pass
    running.api.wait_for(lambda requests: requests[0].disconnected)
    (row,) = running.ledger.wait()
    assert (row.status, row.aborted, row.estimated) == (200, True, True)
    assert row.input_tokens > 0
    assert row.output_tokens > 0


def test_client_that_leaves_before_the_answer_is_counted_by_its_question(running: "Running") -> None:
    asked = body("x-keystead-fake: late=30")
    with running.connect() as connection:
        connection.sendall(running.head(length=len(asked)) + asked)
        running.api.wait_for(lambda requests: len(requests) == 1)
    running.api.wait_for(lambda requests: requests[0].disconnected)
    (row,) = running.ledger.wait()
    assert (row.status, row.aborted, row.estimated) == (499, True, True)
    assert row.input_tokens == len(asked) // 4


def test_client_that_leaves_while_it_waits_in_line_has_used_nothing(serve: Callable[..., "Running"]) -> None:
    running = serve(Limits(upstream_connections=1))
    first, second = body("x-keystead-fake: late=30"), body("x-keystead-fake: late=31")
    with running.connect() as connection:
        connection.sendall(running.head(length=len(first)) + first)
        running.api.wait_for(lambda requests: len(requests) == 1)
        with running.connect() as another:
            another.sendall(running.head("expect: 100-continue", length=len(second)))
            assert another.recv(65536).startswith(b"HTTP/1.1 100 ")
            another.sendall(second)
        (row,) = running.ledger.wait()
        assert (row.status, row.aborted, row.estimated, row.input_tokens) == (499, True, False, 0)
        assert len(running.api.requests) == 1


def test_slow_client_slows_the_upstream_down_and_loses_nothing(running: "Running") -> None:
    asked = body("x-keystead-fake: words=600, size=50000", stream=True)
    with running.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        connection.sendall(running.head(length=len(asked)) + asked)
        first = connection.recv(1000)
        running.api.wait_for(lambda requests: len(requests) == 1)
        assert not running.api.requests[0].finished
        received = len(first)
        last = b""
        while not last.endswith(b"0\r\n\r\n"):
            data = connection.recv(1 << 20)
            assert data
            received += len(data)
            last = (last + data)[-16:]
    assert received > 30_000_000
    (row,) = running.ledger.wait()
    assert (row.output_tokens, row.aborted) == (603, False)


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("G-06 503")
def test_directory_trouble_is_503_and_heals(running: "Running") -> None:
    running.directory.trouble = DirectoryUnavailable("database is locked")
    answer = running.ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.error["type"] == "api_error"
    running.directory.trouble = None
    assert running.ask().status == 200


def test_nothing_is_served_that_cannot_be_written_down(running: "Running") -> None:
    running.ledger.saturated = True
    answer = running.ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.error["type"] == "api_error"
    assert running.api.requests == []
    assert running.ask(target="/v1/messages/count_tokens").status == 200
    assert running.send(running.head(length=0, key="ksk_no")).status == 401
    running.ledger.saturated = False
    assert running.ask().status == 200


def test_ledger_trouble_does_not_reach_the_client(running: "Running", monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(running.ledger, "append", broken)
    assert running.ask().status == 200
    assert running.ask().status == 200


def test_unknown_credential_is_refused_before_the_body_is_sent(running: "Running") -> None:
    with running.connect() as connection:
        connection.sendall(running.head("expect: 100-continue", length=1_000_000, key="ksk_no"))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"x-should-retry: false" in answer
    assert running.api.requests == []


def test_refusal_reaches_a_client_that_is_still_sending(running: "Running") -> None:
    with running.connect() as connection:
        connection.sendall(running.head(length=500_000, key="ksk_no") + b"x" * 500_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")


def test_conflicting_credentials_are_named_beside_the_answer(running: "Running") -> None:
    answer = running.ask(GOLDEN, f"authorization: Bearer {running.bearer}")
    assert answer.status == 200
    assert "two different credentials" in answer.headers["x-keystead-warning"]
    (row,) = running.ledger.wait()
    assert row.principal_id == "gra_1"


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        (b"hello", 400, "not valid JSON"),
        (b"", 400, "not valid JSON"),
        (b"[]", 400, "must be a JSON object"),
        (b'{"messages":[]}', 400, "model: Field required"),
        (b'{"model":"a","model":"b"}', 400, "same field twice"),
    ],
)
def test_unusable_body_is_400_naming_the_field(running: "Running", sent: bytes, status: int, says: str) -> None:
    answer = running.ask(sent)
    assert answer.status == status
    assert answer.error["type"] == "invalid_request_error"
    assert says in answer.error["message"]
    assert running.api.requests == []
    assert running.ledger.rows == []


def test_model_that_does_not_exist_is_the_upstreams_own_answer(running: "Running") -> None:
    answer = running.ask(GOLDEN.replace(b"keystead-test-1", b"no-such-model"))
    assert answer.status == 404
    assert json.loads(answer.body)["request_id"].startswith("req_fake_")


def test_body_over_the_limit_is_413_declared_or_not(serve: Callable[..., "Running"]) -> None:
    running = serve(Limits(body_bytes=1000))
    declared = running.ask(body("x" * 2000))
    chunked = running.send(running.head("transfer-encoding: chunked") + b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n")
    endless = running.send(running.head("transfer-encoding: chunked") + b"7d00\r\n" + b"x" * 2000)
    for answer in (declared, chunked, endless):
        assert (answer.status, answer.error["type"]) == (413, "request_too_large")
    assert running.api.requests == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_other_methods_are_405(running: "Running", method: str) -> None:
    answer = running.send(running.head("connection: close", length=0).replace(b"POST", method.encode(), 1))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert (answer.body == b"") is (method == "HEAD")


# -- time ------------------------------------------------------------------------------------------------------------

FAST = Limits(head_seconds=0.1, body_seconds=0.1, first_byte_seconds=0.1, silence_seconds=0.1, sweep_seconds=0.02)


def test_slow_headers_end_with_408(serve: Callable[..., "Running"]) -> None:
    running = serve(FAST)
    with running.connect() as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_slow_body_ends_with_408(serve: Callable[..., "Running"]) -> None:
    running = serve(FAST)
    answer = running.send(running.head(length=100) + b"{")
    assert answer.status == 408


def test_silent_connection_is_closed(serve: Callable[..., "Running"]) -> None:
    with serve(FAST).connect() as connection:
        assert connection.recv(1) == b""


def test_upstream_that_thinks_too_long_is_504(serve: Callable[..., "Running"]) -> None:
    running = serve(FAST)
    answer = running.ask(body("x-keystead-fake: late=30"))
    assert (answer.status, answer.error["type"]) == (504, "api_error")
    running.api.wait_for(lambda requests: requests[0].disconnected)
    assert running.ledger.wait()[0].status == 504


def test_upstream_that_falls_silent_in_the_stream_is_cut(serve: Callable[..., "Running"]) -> None:
    running = serve(FAST)
    asked = body("x-keystead-fake: hang=4", stream=True)
    answer = running.send(running.head(length=len(asked)) + asked)
    assert not answer.raw.endswith(b"0\r\n\r\n")
    (row,) = running.ledger.wait()
    assert (row.status, row.aborted) == (200, True)


def test_shutdown_lets_a_stream_finish(running: "Running") -> None:
    asked = body("x-keystead-fake: words=20, slow=0.02", stream=True)
    with running.connect() as connection:
        connection.sendall(running.head(length=len(asked)) + asked)
        received = connection.recv(65536)
        running.server.end()
        while data := connection.recv(65536):
            received += data
    assert received.endswith(b"0\r\n\r\n")
    (row,) = running.ledger.wait()
    assert (row.aborted, row.output_tokens) == (False, 23)


# -- one head after another ------------------------------------------------------------------------------------------


def test_requests_that_repeat_a_head_are_each_checked_and_written_down(running: "Running") -> None:
    """Bodies differ, a key is revoked between two of them, a body is refused, and the connection goes on."""
    with running.connect() as connection:

        def ask(sent: bytes) -> "Answer":
            connection.sendall(running.head("user-agent: agent/1", length=len(sent)) + sent)
            return running.read(connection)

        bodies = [body("one"), body("another"), body("x" * 5000), GOLDEN]
        assert [ask(sent).status for sent in bodies] == [200] * 4
        assert ask(b'{"model":1}').status == 400
        owners = dict(running.directory.keys)
        running.directory.keys.clear()
        assert ask(GOLDEN).status == 401
        running.directory.keys.update(owners)
        assert ask(GOLDEN).status == 200
    assert [recorded.body for recorded in running.api.requests] == [*bodies, GOLDEN]
    rows = running.ledger.wait(5)
    assert len({row.request_id for row in rows}) == 5
    assert {(row.client, row.status, row.principal_id) for row in rows} == {("agent/1", 200, "key_1")}


def test_a_request_after_a_repeated_one_is_read_anew(running: "Running") -> None:
    """Another address, other headers, a second request at once, a part of one: none passes as the last one's head."""
    with running.connect() as connection:
        usual = running.head(length=len(GOLDEN)) + GOLDEN
        for raw in (usual, usual, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", usual, usual):
            connection.sendall(raw)
            assert running.read(connection).status == 200
        connection.sendall(running.head(length=len(GOLDEN), key="ksk_no") + GOLDEN)
        assert running.read(connection).status == 401
        connection.sendall(running.head(length=len(GOLDEN), target="/v1/messages/count_tokens") + GOLDEN)
        assert running.read(connection).status == 200
        connection.sendall(usual)
        assert running.read(connection).status == 200
        connection.sendall(usual + usual)
        answer = running.read(connection)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert len(running.api.requests) == 6
    assert len(running.ledger.wait(5)) == 5
