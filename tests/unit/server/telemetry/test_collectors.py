"""Telemetry on its way to collectors, over real connections."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from collector import FakeCollector

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.settings import ServerSettings
from keystead.server.telemetry.collectors import ATTEMPTS, Collector, Collectors, Endpoint, endpoints
from keystead.server.telemetry.relay import Body

BODY = Body("logs", "application/x-protobuf", "gzip", b"\x1f\x8b bytes as they came \x00\xff")


@pytest.fixture
def fake() -> Iterator[FakeCollector]:
    with FakeCollector() as running:
        yield running


def sending(fake: FakeCollector, prefix: str = "", **more: int) -> Collector:
    headers = (("api-key", Secret("header-canary")),)
    return Collector(Endpoint("http", "127.0.0.1", fake.port, prefix, headers), lambda _: 0.0, **more)


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
@pytest.mark.parametrize("status", [302, 307, 400, 401, 413])
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
    collector = sending(fake, most=len(BODY.data) - 1)
    collector.offer(BODY)
    collector.close()
    collector.offer(BODY)
    assert fake.received == []
    assert collector.counts() == {("logs", "dropped"): 2}


def test_one_out_of_reach_holds_up_no_other(fake: FakeCollector) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gone = Collector(Endpoint("http", "127.0.0.1", port), lambda _: 0.0)
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
