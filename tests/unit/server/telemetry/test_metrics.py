"""What is counted, and how it is written for Prometheus."""

from typing import Final

from keystead.server.limits.over import STALE, Denial
from keystead.server.policy.limits import Limit, Measure, Period, Scope
from keystead.server.telemetry.exposition import Family, Histogram, Sample, text
from keystead.server.telemetry.metrics import MOST_UPSTREAMS, OTHERS, Metrics, State
from keystead.server.usage.record import UsageRecord

RECORD: Final = UsageRecord(
    id="0" * 32,
    request_id="req_0",
    organization_id="org_1",
    workspace_id="wrk_1",
    member_id="mem_canary",
    principal_kind="api_key",
    principal_id="key_canary",
    client="client canary",
    session_id="session canary",
    upstream="anthropic",
    model="model canary",
    status=200,
    started_at=0.0,
    duration_ms=1500,
    input_tokens=10,
    output_tokens=20,
    cache_read_tokens=30,
    cache_write_tokens=40,
    streamed=True,
    aborted=False,
    estimated=False,
    upstream_kind="anthropic",
)
QUIET: Final = State(open=lambda: 0, circuits=lambda: (), waiting=lambda: 0, carried=lambda: ())


def lines(metrics: Metrics, state: State = QUIET) -> list[str]:
    return text(metrics.families(state, "1.2.3")).decode().splitlines()


def test_a_request_is_counted_with_its_tokens_and_times() -> None:
    metrics = Metrics()
    metrics.finished(RECORD, 1.5, 0.25)
    metrics.finished(RECORD._replace(aborted=True, estimated=True, web_searches=3), 0.01, 0.0)
    found = lines(metrics)
    labels = 'upstream="anthropic",kind="anthropic",status="2xx",stream="true"'
    for name, value in [("requests", 2), ("aborted", 1), ("estimated", 1), ("web_searches", 3)]:
        assert f"keystead_gateway_{name}_total{{{labels}}} {value}" in found
    for kind, value in [("input", 20), ("output", 40), ("cache_read", 60), ("cache_write", 80)]:
        assert f'keystead_gateway_tokens_total{{{labels},type="{kind}"}} {value}' in found
    of = 'kind="anthropic",stream="true"'
    assert f'keystead_gateway_request_seconds_bucket{{{of},le="0.05"}} 1' in found
    assert f'keystead_gateway_request_seconds_bucket{{{of},le="2.5"}} 2' in found
    assert f"keystead_gateway_request_seconds_sum{{{of}}} 1.51" in found
    assert f"keystead_gateway_first_byte_seconds_count{{{of}}} 1" in found


def test_a_request_without_an_answer_has_no_class() -> None:
    metrics = Metrics()
    metrics.finished(RECORD._replace(upstream="", upstream_kind="", status=0), 0.1, 0.0)
    assert 'keystead_gateway_requests_total{upstream="",kind="",status="none",stream="true"} 1' in lines(metrics)


def test_trouble_is_counted_by_upstream_status_and_rule() -> None:
    metrics = Metrics()
    metrics.failed("a")
    metrics.passed_by("a")
    metrics.refused(429, "billing_error")
    metrics.denied("model")
    metrics.limited(STALE)
    for _ in range(2):
        limit = Limit("spl_1", Scope.GROUP, "grp_1", True, Measure.SPEND, Period.MONTHLY, 1)
        metrics.limited(Denial(429, "billing_error", "No.", None, limit))
    metrics.lag.observe(0.002)
    state = State(
        open=lambda: 7,
        circuits=lambda: [("a", True), ("b", False), ("a", False)],
        waiting=lambda: 9,
        carried=lambda: [((("signal", "logs"), ("result", "dropped")), 5)],
        counted_at=lambda: 12.5,
        costs=lambda: [((("organization", "org_1"),), 0.25)],
    )
    found = lines(metrics, state)
    for line in [
        'keystead_build_info{version="1.2.3"} 1',
        'keystead_upstream_failures_total{upstream="a"} 1',
        'keystead_upstream_failovers_total{upstream="a"} 1',
        'keystead_upstream_circuit_open{upstream="a"} 1',
        'keystead_upstream_circuit_open{upstream="b"} 0',
        'keystead_gateway_refusals_total{status="429",type="billing_error"} 1',
        "keystead_limits_counted_timestamp_seconds 12.5",
        'keystead_ledger_cost_usd_total{organization="org_1"} 0.25',
        'keystead_gateway_denials_total{rule="model"} 1',
        'keystead_gateway_limit_refusals_total{scope="",measure="",period=""} 1',
        'keystead_gateway_limit_refusals_total{scope="rbac_group",measure="spend",period="monthly"} 2',
        "keystead_gateway_open_requests 7",
        "keystead_ledger_waiting 9",
        'keystead_event_loop_lag_seconds_bucket{le="0.001"} 0',
        'keystead_event_loop_lag_seconds_bucket{le="+Inf"} 1',
        'keystead_telemetry_bodies_total{signal="logs",result="dropped"} 5',
    ]:
        assert line in found


def test_names_of_upstreams_are_bounded() -> None:
    metrics = Metrics()
    for number in range(5_000):
        metrics.finished(RECORD._replace(upstream=f"up-{number}"), 0.1, 0.1)
        metrics.failed(f"up-{number}")
    found = lines(metrics)
    told_apart = [line for line in found if line.startswith("keystead_gateway_requests_total{")]
    assert len(told_apart) == MOST_UPSTREAMS + 1
    assert sum(int(line.rpartition(" ")[2]) for line in told_apart) == 5_000
    assert f'keystead_upstream_failures_total{{upstream="{OTHERS}"}} {5_000 - MOST_UPSTREAMS}' in found


def test_nothing_of_a_member_a_key_a_client_or_a_model_is_told() -> None:
    metrics = Metrics()
    metrics.finished(RECORD, 0.1, 0.1)
    found = lines(metrics)
    assert "canary" not in "\n".join(found)
    assert any("anthropic" in line for line in found)


def test_a_bound_belongs_to_its_own_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 9.0):
        histogram.observe(value)
    assert [(sample.labels, sample.value) for sample in histogram.samples(())] == [
        ((("le", "1.0"),), 1),
        ((("le", "2.0"),), 3),
        ((("le", "+Inf"),), 4),
        ((), 13.5),
        ((), 4),
    ]


def test_what_has_a_meaning_in_the_format_is_escaped() -> None:
    family = Family("x", "gauge", "a\\b\nc", [Sample("", (("name", 'say "hi"\\\n'),), 1)])
    assert text([family]) == b'# HELP x a\\\\b\\nc\n# TYPE x gauge\nx{name="say \\"hi\\"\\\\\\n"} 1\n'


def test_what_servers_tell_one_another_is_shown_where_they_do() -> None:
    assert not [line for line in lines(Metrics()) if "keystead_counters" in line]
    found = lines(Metrics(), QUIET._replace(counters=lambda: (True, 3)))
    assert "keystead_counters_reachable 1" in found
    assert "keystead_counters_servers 3" in found
