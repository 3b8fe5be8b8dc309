"""What the gateway tells whoever counts, over real requests."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.contract.upstreams.conftest import question
from upstreams import UPSTREAM_KEY, upstream

from keystead.secret import Secret
from keystead.server.observation import counted
from keystead.server.telemetry.exposition import text
from keystead.server.telemetry.metrics import Metrics, State
from keystead.server.usage.record import UsageRecord
from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

QUIET = State(open=lambda: 0, circuits=lambda: (), waiting=lambda: 0, carried=lambda: ())


class Watched(Metrics):
    """The real ones, and a way to wait for the end of a request."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self.times: list[tuple[float, float]] = []

    def finished(self, record: UsageRecord, seconds: float, first_byte: float) -> None:
        super().finished(record, seconds, first_byte)
        with self._changed:
            self.times.append((seconds, first_byte))
            self._changed.notify_all()

    def told(self, count: int = 1) -> list[str]:
        """Return what a scrape says after so many requests."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.times) >= count, 10), "no request has ended"
        return text(self.families(QUIET, "0")).decode().splitlines()


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_told_once_with_its_times(serve: "Callable[..., Running]", stream: bool) -> None:
    metrics = Watched()
    running = serve(observer=metrics)
    assert running.ask(question("prompt canary", stream=stream)).status == 200
    found = metrics.told()
    labels = f'upstream="test",kind="messages",status="2xx",stream="{str(stream).lower()}"'
    assert f"keystead_gateway_requests_total{{{labels}}} 1" in found
    (row,) = running.ledger.wait()
    assert f'keystead_gateway_tokens_total{{{labels},type="output"}} {row.output_tokens}' in found
    ((seconds, first_byte),) = metrics.times
    assert 0 < first_byte <= seconds
    everything = "\n".join(found)
    assert not any(secret in everything for secret in ("canary", running.key, row.principal_id, row.model))


def test_a_failover_is_told_of_the_one_that_failed(serve: "Callable[..., Running]") -> None:
    metrics = Watched()
    with MessagesApi(api_key=Secret(UPSTREAM_KEY)) as first, MessagesApi(api_key=Secret(UPSTREAM_KEY)) as second:
        first.behaviour = "error=500"
        running = serve(observer=metrics, upstreams=[upstream(first.base_url, "a"), upstream(second.base_url, "b")])
        assert running.ask().status == 200
        found = metrics.told()
    assert 'keystead_upstream_failures_total{upstream="a"} 1' in found
    assert 'keystead_upstream_failovers_total{upstream="a"} 1' in found
    assert not any('_failovers_total{upstream="b"}' in line for line in found)


def test_refusals_are_told_by_status(serve: "Callable[..., Running]") -> None:
    metrics = Metrics()
    running = serve(observer=metrics)
    assert running.ask(key=None).status == 401
    assert running.send(b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").status == 401
    assert (
        'keystead_gateway_refusals_total{status="401",type="authentication_error"} 2'
        in text(metrics.families(QUIET, "0")).decode()
    )


def test_a_request_upstream_is_counted_as_open(serve: "Callable[..., Running]", api: MessagesApi) -> None:
    api.behaviour = "hang=0"
    running = serve()
    with running.connect() as connection:
        body = question()
        connection.sendall(running.head(length=len(body)) + body)
        api.wait_for(lambda requests: len(requests) == 1)
        assert running.gateway.answering == 1
    running.ledger.wait()
    assert running.gateway.answering == 0


def test_denials_are_counted_and_still_noted() -> None:
    from keystead.server.policy import Principal, PrincipalKind
    from keystead.server.policy.decide import RULES, Deny

    noted: list[str] = []
    metrics = Metrics()
    note = counted(lambda _principal, deny, _now: noted.append(deny.rule.id), metrics)
    note(Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1"), Deny("No.", RULES[0]), 0.0)
    assert noted == [RULES[0].id]
    assert f'keystead_gateway_denials_total{{rule="{RULES[0].id}"}} 1' in text(metrics.families(QUIET, "0")).decode()
