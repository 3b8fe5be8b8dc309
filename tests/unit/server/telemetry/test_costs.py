"""What stored rows cost, as Prometheus is told."""

from typing import Final

from tests.unit.server.telemetry.test_metrics import RECORD

from keystead.server.telemetry.costs import MOST, Costs
from keystead.server.telemetry.metrics import OTHERS
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.record import cost_of

ROW: Final = RECORD._replace(model="claude-sonnet-4-5", input_tokens=1_000_000)
COST: Final = cost_of(ROW, SHIPPED).micro


def told(costs: Costs) -> dict[tuple[str, ...], float]:
    return {tuple(value for _, value in labels): amount for labels, amount in costs.samples()}


def test_rows_add_up_by_organization_and_upstream_to_the_micro_unit() -> None:
    costs = Costs(SHIPPED)
    costs.add([ROW, ROW, ROW._replace(organization_id="org_2")])
    costs.add([ROW._replace(upstream="b")])
    assert COST > 3_000_000
    assert told(costs) == {
        ("org_1", "anthropic", "false"): 2 * COST / 1e6,
        ("org_2", "anthropic", "false"): COST / 1e6,
        ("org_1", "b", "false"): COST / 1e6,
    }


def test_what_an_allowance_covers_stands_apart() -> None:
    costs = Costs(SHIPPED)
    costs.add([ROW._replace(covered_micro=1_000_000), ROW._replace(covered_micro=0)])
    assert told(costs) == {
        ("org_1", "anthropic", "false"): (2 * COST - 1_000_000) / 1e6,
        ("org_1", "anthropic", "true"): 1.0,
    }


def test_names_are_bounded_and_nothing_is_lost_by_that() -> None:
    costs = Costs(SHIPPED)
    costs.add([ROW._replace(organization_id=f"org_{one}", upstream=f"up-{one}") for one in range(3 * MOST)])
    found = told(costs)
    assert len(found) == MOST + 1
    assert found[OTHERS, OTHERS, "false"] == 2 * MOST * COST / 1e6


def test_no_label_names_a_person_a_key_or_a_model() -> None:
    costs = Costs(SHIPPED)
    costs.add([ROW])
    assert [name for labels, _ in costs.samples() for name, _ in labels] == ["organization", "upstream", "covered"]
    assert "canary" not in str(list(costs.samples()))
