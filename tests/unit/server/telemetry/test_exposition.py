"""What is written for Prometheus, read by the parser of Prometheus' own Python library."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.server.telemetry.test_metrics import RECORD

from keystead.server.limits.over import STALE
from keystead.server.telemetry.exposition import Family, text
from keystead.server.telemetry.metrics import Metrics, State

ROOT = Path(__file__).resolve().parents[4]
AWKWARD = 'say "hi"\\n\\\n{},= \u2603'
"""An upstream's name that has everything with a meaning in the format."""


def full() -> list[Family]:
    """Return every family, each with a sample."""
    metrics = Metrics()
    for upstream in ("anthropic", AWKWARD):
        metrics.finished(RECORD._replace(upstream=upstream, aborted=True, web_searches=1), 1.5, 0.25)
        metrics.finished(RECORD._replace(upstream=upstream, status=0, streamed=False), 900.0, 0.0)
        metrics.failed(upstream)
        metrics.passed_by(upstream)
    metrics.refused(429, "billing_error")
    metrics.denied("model")
    metrics.limited(STALE)
    metrics.lag.observe(0.002)
    state = State(
        open=lambda: 7,
        circuits=lambda: [(AWKWARD, True)],
        waiting=lambda: 9,
        carried=lambda: [((("collector", "a:1"), ("signal", "logs"), ("result", "dropped")), 5)],
        counters=lambda: (True, 2),
        costs=lambda: [((("organization", "org_1"), ("upstream", AWKWARD)), 0.000001)],
    )
    return list(metrics.families(state, "1.2.3"))


def samples(families: list[Family]) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in families:
        for one in family.samples:
            yield f"{family.name}{one.suffix}", dict(one.labels), one.value


@pytest.mark.requirement("prometheus-text format", "prometheus-text escaping")
def test_everything_is_read_back_by_prometheus_own_parser_as_it_was() -> None:
    written = full()
    read = list(text_string_to_metric_families(text(written).decode()))
    # of counters the parser takes the suffix away, as OpenMetrics has it
    assert [one.name for one in read] == [one.name.removesuffix("_total") for one in written]
    assert [(one.type, one.documentation) for one in read] == [(one.type, one.help) for one in written]
    found = [(one.name, dict(one.labels), one.value) for family in read for one in family.samples]
    assert found == list(samples(written))
    assert any(AWKWARD in labels.values() for _, labels, _ in found)


@pytest.mark.requirement("prometheus-text format")
def test_each_family_is_one_group_without_a_sample_twice() -> None:
    lines = text(full()).decode().splitlines()
    heads = [line for line in lines if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads)) == len([line for line in lines if line.startswith("# HELP")])
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))


def test_names_say_what_they_count_as_prometheus_asks() -> None:
    for family in full():
        assert family.name.startswith("keystead_")
        assert family.name.endswith("_total") == (family.type == "counter"), family.name
        assert family.type != "histogram" or family.name.endswith("_seconds")
        assert family.samples, f"{family.name} is in no test"


def test_every_metric_is_in_the_guide() -> None:
    guide = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    likewise = {f"keystead_gateway_{one}_total" for one in ("aborted", "estimated", "web_searches")}
    assert {one.name for one in full() if f"`{one.name}`" not in guide} == likewise


@pytest.mark.requirement("prometheus-text histograms")
def test_buckets_are_cumulative_and_end_with_the_count() -> None:
    histograms = [one for one in text_string_to_metric_families(text(full()).decode()) if one.type == "histogram"]
    assert len(histograms) == 3
    for family in histograms:
        series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        counts: dict[tuple[tuple[str, str], ...], float] = {}
        for one in family.samples:
            labels = tuple(sorted((name, value) for name, value in one.labels.items() if name != "le"))
            if one.name.endswith("_bucket"):
                series.setdefault(labels, []).append((float(one.labels["le"]), one.value))
            elif one.name.endswith("_count"):
                counts[labels] = one.value
        assert series.keys() == counts.keys()
        for labels, buckets in series.items():
            assert buckets == sorted(buckets), labels
            assert [value for _, value in buckets] == sorted(value for _, value in buckets)
            assert buckets[-1] == (math.inf, counts[labels])


def test_the_dashboard_asks_for_metrics_and_labels_that_there_are() -> None:
    board = json.loads((ROOT / "deploy/grafana/keystead.json").read_text(encoding="utf-8"))
    labels: dict[str, set[str]] = {}
    for name, found, _ in samples(full()):
        labels.setdefault(name, {"instance", "job"}).update(found)
    asked = set()
    for panel in board["panels"]:
        for target in panel["targets"]:
            (name,) = re.findall(r"keystead_\w+", target["expr"])
            assert name in labels, panel["title"]
            by = re.findall(r"by \(([^)]*)\)", target["expr"])
            wanted = {one.strip() for group in by for one in group.split(",")} | set(
                re.findall(r"(\w+)=", target["expr"].replace("=~", "="))
            )
            assert wanted <= labels[name], (panel["title"], wanted - labels[name])
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= wanted, panel["title"]
            assert ("rate(" in target["expr"] or "increase(" in target["expr"]) == name.endswith(("_total", "_bucket"))
            asked.add(re.sub("_bucket$", "", name))
    assert {one.name for one in full()} - asked == {
        f"keystead_gateway_{one}_total" for one in ("aborted", "estimated", "web_searches")
    }


def test_the_dashboards_panels_lie_beside_one_another() -> None:
    board = json.loads((ROOT / "deploy/grafana/keystead.json").read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
