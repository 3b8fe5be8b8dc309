"""Telemetry on its way to collectors, over real connections."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from collector import FakeCollector
from mail_server import certificate
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from otlp import encoded, everything

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.settings import ServerSettings
from keystead.server.telemetry.collectors import (
    ATTEMPTS,
    LONGEST_PAUSE,
    MOST_BYTES,
    OVERHEAD,
    Collector,
    Collectors,
    Endpoint,
    endpoints,
    pause,
)
from keystead.server.telemetry.otlp_schema import Marks
from keystead.server.telemetry.relay import Body

BODY = Body("logs", "application/x-protobuf", "gzip", b"\x1f\x8b bytes as they came \x00\xff")


@pytest.fixture
def fake() -> Iterator[FakeCollector]:
    with FakeCollector() as running:
        yield running


HEADERS = (("api-key", Secret("header-canary")),)


def sending(fake: FakeCollector, prefix: str = "", most: int = MOST_BYTES) -> Collector:
    return Collector(Endpoint("http", "127.0.0.1", fake.port, prefix, HEADERS), lambda *_: 0.0, most)


@pytest.mark.requirement("otlp-http connection")
def test_a_body_arrives_as_it_came_with_the_operators_header(fake: FakeCollector) -> None:
    collector = sending(fake, "/prefix")
    collector.offer(BODY)
    collector.offer(Body("metrics", "application/json", "", b"{}"))
    collector.close()
    first, second = fake.received
    assert (first.path, first.body) == ("/prefix/v1/logs", BODY.data)
    assert first.headers["content-type"] == "application/x-protobuf"
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["api-key"] == "header-canary"
    assert (second.path, second.headers["content-type"]) == ("/prefix/v1/metrics", "application/json")
    assert "content-encoding" not in second.headers
    assert fake.connections == 1
    assert collector.counts() == {("logs", "delivered"): 1, ("metrics", "delivered"): 1}


@pytest.mark.requirement("otlp-http failures")
def test_one_that_is_busy_is_asked_again(fake: FakeCollector, caplog: pytest.LogCaptureFixture) -> None:
    fake.statuses = [503, 429]
    collector = sending(fake)
    with caplog.at_level(logging.WARNING):
        collector.offer(BODY)
        assert [one.body for one in fake.wait(3)] == [BODY.data] * 3
        collector.close()
    assert collector.counts() == {("logs", "delivered"): 1}
    assert [one.getMessage() for one in caplog.records if "answered 503" in one.getMessage()]
    assert len(caplog.records) == 1
    assert "canary" not in caplog.text


@pytest.mark.requirement("otlp-http failures")
@pytest.mark.parametrize("status", [302, 307, 400, 401, 413, 500, 501])
def test_another_answer_is_final_and_no_redirect_is_followed(fake: FakeCollector, status: int) -> None:
    fake.statuses = [status]
    collector = sending(fake)
    collector.offer(BODY)
    collector.close()
    assert [one.path for one in fake.received] == ["/v1/logs"]
    assert collector.counts() == {("logs", "refused"): 1}


def test_the_attempts_are_bounded(fake: FakeCollector) -> None:
    fake.statuses = [503] * (ATTEMPTS + 1)
    collector = sending(fake)
    collector.offer(BODY)
    fake.wait(ATTEMPTS)
    collector.close()
    assert len(fake.received) == ATTEMPTS
    assert collector.counts() == {("logs", "dropped"): 1}


def test_what_does_not_fit_is_dropped_and_counted(fake: FakeCollector) -> None:
    collector = sending(fake, most=len(BODY.data) + OVERHEAD - 1)
    collector.offer(BODY)
    collector.close()
    collector.offer(BODY)
    assert fake.received == []
    assert collector.counts() == {("logs", "dropped"): 2}


def test_one_out_of_reach_holds_up_no_other(fake: FakeCollector) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gone = Collector(Endpoint("http", "127.0.0.1", port), lambda *_: 0.0)
    collectors = Collectors([gone, sending(fake)])
    collectors.offer(BODY)
    assert fake.wait(1)[0].body == BODY.data
    collectors.withhold("traces")
    collectors.close()
    assert set(collectors.counts()) == {
        ((("collector", ""), ("signal", "traces"), ("result", "withheld")), 1),
        ((("collector", f"127.0.0.1:{port}"), ("signal", "logs"), ("result", "dropped")), 1),
        ((("collector", f"127.0.0.1:{fake.port}"), ("signal", "logs"), ("result", "delivered")), 1),
    }


def test_each_header_goes_to_its_host_only(tmp_path: Path) -> None:
    first, second, third = endpoints(
        ServerSettings(
            tmp_path,
            otlp_endpoints="https://a.example.com/otlp/, https://b.example.com:4318 http://127.0.0.1:4318",
            otlp_headers=Secret("a.example.com api-key=canary=1, a.example.com x=2\n127.0.0.1:4318 y=3"),
        )
    )
    assert (first.name, first.prefix) == ("a.example.com:443", "/otlp")
    assert [(name, value.reveal()) for name, value in first.headers] == [("api-key", "canary=1"), ("x", "2")]
    assert second.headers == ()
    assert [name for name, _ in third.headers] == ["y"]
    assert "canary" not in repr(first)


@pytest.mark.parametrize(
    ("addresses", "headers"),
    [
        ("ftp://a.example.com", ""),
        ("https://user:canary@a.example.com", ""),
        ("https://a.example.com?key=canary", ""),
        ("https://a.example.com:x", ""),
        ("https://a.example.com", "api-key=canary"),
        ("https://a.example.com", "a.example.com api key=canary"),
        ("https://a.example.com", "x=canary b=canary"),
        ("http://a.example.com", "a.example.com api-key=canary"),
    ],
)
def test_what_cannot_be_used_stops_the_server_and_is_not_repeated(tmp_path: Path, addresses: str, headers: str) -> None:
    settings = ServerSettings(tmp_path, otlp_endpoints=addresses, otlp_headers=Secret(headers))
    with pytest.raises(ConfigurationError, match="KEYSTEAD_SERVER_OTLP_") as raised:
        endpoints(settings)
    assert "canary" not in str(raised.value)


@pytest.mark.requirement("otlp-http partial success")
def test_what_a_collector_took_in_part_is_not_sent_again(fake: FakeCollector) -> None:
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records, answer.partial_success.error_message = 1, "too long"
    fake.answer = answer.SerializeToString()
    collector = sending(fake)
    collector.offer(BODY)
    collector.offer(BODY)
    collector.close()
    assert len(fake.received) == 2
    assert fake.connections == 1
    assert collector.counts() == {("logs", "delivered"): 2}


@pytest.mark.requirement("otlp-http retry-after")
@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("7", 7.0), ("Thu, 26 Nov 2026 10:00:30 GMT", 30.0), ("Thu, 26 Nov 2026 09:00:00 GMT", 0.0), ("soon", 0.0)],
)
def test_a_collector_says_when_it_is_to_be_asked_again(fake: FakeCollector, asked: str, seconds: float) -> None:
    pauses: list[tuple[int, float]] = []
    fake.statuses, fake.after = [429, 503], asked

    def noted(attempt: int, after: float) -> float:
        pauses.append((attempt, after))
        return 0.0

    collector = Collector(Endpoint("http", "127.0.0.1", fake.port), noted, now=lambda: 1_795_687_200.0)
    collector.offer(BODY)
    fake.wait(3)
    collector.close()
    assert pauses == [(0, seconds), (1, seconds)]


def test_pauses_grow_and_are_bounded_whatever_is_asked_for() -> None:
    assert [pause(attempt, 0.0) for attempt in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert pause(0, 7.0) == 7
    assert pause(0, 86_400.0) == LONGEST_PAUSE


@pytest.mark.requirement("otlp-http TLS")
@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [
        ("127.0.0.1", True, ""),
        ("127.0.0.1", False, "has a certificate that is not trusted (self-signed certificate"),
        ("elsewhere.example", True, "has a certificate that is not trusted (IP address mismatch"),
    ],
)
def test_only_a_collector_whose_certificate_is_trusted_gets_anything(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    trusted: bool,
    why: str,
) -> None:
    tls, authority = certificate(tmp_path, name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with FakeCollector(tls) as fake:
        collector = Collector(Endpoint("https", "127.0.0.1", fake.port, "", HEADERS), lambda *_: 0.0)
        collector.offer(BODY)
        collector.offer(BODY)
        collector.close()
    assert [one.body for one in fake.received] == ([] if why else [BODY.data] * 2)
    assert collector.counts() == {("logs", "dropped" if why else "delivered"): 2}
    said = [one.getMessage() for one in caplog.records]
    assert len(said) == bool(why)
    assert not why or (why in said[0] and "SSL_CERT_FILE" in said[0])
    assert "canary" not in caplog.text


def test_what_is_no_http_is_said_so(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        collector = Collector(Endpoint("http", "127.0.0.1", listener.getsockname()[1]), lambda *_: 0.0)
        collector.offer(BODY)
        for _ in range(ATTEMPTS):
            client, _address = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(b"SSH-2.0-something\r\n")
        collector.close()
    (said,) = [one.getMessage() for one in caplog.records]
    assert said.startswith(f"collector {collector.name} does not answer by HTTP; ")


@pytest.mark.requirement("otlp-http bounded")
def test_one_that_does_not_answer_costs_no_more_than_its_queue(fake: FakeCollector) -> None:
    fake.awake.clear()
    size = 50
    collector = sending(fake, most=size * (len(BODY.data) + OVERHEAD))
    for _ in range(3 * size):
        collector.offer(BODY)
    fake.wait(1)
    assert collector.counts() == {("logs", "dropped"): 2 * size}
    fake.awake.set()
    fake.wait(size)
    collector.close()
    assert collector.counts() == {("logs", "dropped"): 2 * size, ("logs", "delivered"): size}


@pytest.mark.requirement("otlp-http bounded")
def test_what_waits_to_be_read_is_bounded_too(fake: FakeCollector) -> None:
    body = Body("metrics", "application/json", "", encoded(everything("/v1/metrics"), "application/json"))
    collectors = Collectors([sending(fake)], most=len(body.data) + OVERHEAD - 1)
    collectors.relay(body, Marks(()))
    collectors.close()
    assert fake.received == []
    assert dict(collectors.counts()) == {(("collector", ""), ("signal", "metrics"), ("result", "dropped")): 1}
