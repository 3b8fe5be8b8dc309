"""The metrics' own port, asked over a real connection."""

import asyncio
import socket
from pathlib import Path

import pytest
from ports import free_port

from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings
from keystead.server.telemetry import scrape
from keystead.server.telemetry.metrics import Metrics, State

QUIET = State(open=lambda: 3, circuits=lambda: (), waiting=lambda: 0, carried=lambda: ())


async def exchange(port: int, line: str) -> tuple[str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.decode().lower(), body


def asked(*lines: str) -> list[tuple[str, bytes]]:
    async def run() -> list[tuple[str, bytes]]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with scrape.answering(listener, Metrics(), QUIET):
                return [await exchange(listener.getsockname()[1], line) for line in lines]

    return asyncio.run(run())


@pytest.mark.requirement("prometheus-text content type")
def test_a_scrape_is_answered_in_the_text_format() -> None:
    ((head, body), (head_only, nothing)) = asked("GET /metrics", "HEAD /metrics")
    assert head.startswith("http/1.1 200")
    assert "content-type: text/plain; version=0.0.4; charset=utf-8" in head
    assert b"\nkeystead_gateway_open_requests 3\n" in body
    assert head_only.startswith("http/1.1 200")
    assert nothing == b""


def test_nothing_else_is_answered_there() -> None:
    elsewhere, posted = asked("GET /v1/models", "POST /metrics")
    assert elsewhere[0].startswith("http/1.1 404")
    assert posted[0].startswith("http/1.1 405")


def test_there_is_no_port_until_one_is_set(tmp_path: Path) -> None:
    with scrape.listening(ServerSettings(tmp_path)) as listener:
        assert listener is None


def test_a_port_is_bound_where_the_setting_says(tmp_path: Path) -> None:
    port = free_port()
    with scrape.listening(ServerSettings(tmp_path, metrics_port=port)) as listener:
        assert listener is not None
        assert listener.getsockname() == ("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("192.0.2.1", 9464)])
def test_a_port_that_cannot_be_had_stops_the_server_with_its_setting(tmp_path: Path, host: str, port: int) -> None:
    settings = ServerSettings(tmp_path, metrics_host=host, metrics_port=port)
    with pytest.raises(ConfigurationError, match="Cannot listen for scrapes") as raised, scrape.listening(settings):
        pass
    assert "KEYSTEAD_SERVER_METRICS_PORT" in (raised.value.hint or "")
