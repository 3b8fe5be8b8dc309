"""Whoever watches over a real server: collectors, and what Prometheus would read."""

import contextlib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from collector import FakeCollector, Received
from otlp import attributes, decoded, encoded, everything, owners, resources
from people import PATIENCE
from ports import free_port

PROTOBUF: Final = "application/x-protobuf"
ENCODINGS: Final = (PROTOBUF, "application/json")
HEADER_CANARY: Final = "canaryCollector7xcanaryCollector7x"
"""The credential for the first collector."""


@dataclass
class Watching:
    """Two collectors, of which only the first gets a credential, and the port of the metrics."""

    first: FakeCollector
    second: FakeCollector
    metrics_port: int

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings that have a server tell all of them everything."""
        return {
            "KEYSTEAD_SERVER_METRICS_PORT": str(self.metrics_port),
            "KEYSTEAD_SERVER_OTLP_ENDPOINTS": f"{self.first.url} {self.second.url}",
            "KEYSTEAD_SERVER_OTLP_HEADERS": f"127.0.0.1:{self.first.port} api-key={HEADER_CANARY}",
            "KEYSTEAD_SERVER_TRACE_RATIO": "1",
        }

    def scraped(self) -> str:
        """Return what Prometheus reads."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        return text

    def told(self) -> str:
        """Return everything that collectors got, but the credential that the first one is to get."""
        return _shown(self.first.received + self.second.received)

    def told_by_itself(self) -> str:
        """Return what of it is the server's own, and not an agent's."""
        agents = of_agents(self.first.received + self.second.received)
        return _shown([one for one in self.first.received + self.second.received if one not in agents])


def _shown(received: list[Received]) -> str:
    """Return requests as they came and as they are read, for searching."""
    sent = [(one.path, {**one.headers, "api-key": ""}, decoded(one)) for one in received]
    return f"{sent}{[one.body for one in received]}"


@contextlib.contextmanager
def watching() -> Iterator[Watching]:
    """Give collectors that run for the block."""
    with FakeCollector() as first, FakeCollector() as second:
        yield Watching(first, second, free_port())


def of_agents(received: list[Received]) -> list[Received]:
    """Return what is not the server's own."""
    return [one for one in received if all(_service(of) != "keystead" for of in resources(decoded(one)))]


def _service(of: Any) -> Any:
    return attributes(of.resource).get("service.name")


def agent_telemetry(said: str) -> Iterator[tuple[str, str, bytes]]:
    """Give address, type and body of what an agent may tell, with ``said`` wherever text can be."""
    for content_type in ENCODINGS:
        for path in ("/v1/metrics", "/v1/logs", "/v1/traces"):
            message = everything(path)
            for _, found in owners(message):
                found.add(key="process.command_line").value.string_value = f"agent -p '{said}'"
                found.add(key="process.command_args").value.array_value.values.add().string_value = said
                found.add(key=f"{said} as a name").value.int_value = 1
            for of in getattr(message, "resource_logs", ()):
                of.scope_logs[0].log_records[0].body.string_value = said
            for of in getattr(message, "resource_metrics", ()):
                of.scope_metrics[0].metrics[0].description = f"asked {said}"
            yield path, content_type, encoded(message, content_type)
