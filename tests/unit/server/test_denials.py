"""Refusals are counted by caller, rule and minute, within bounds, and each count becomes one event."""

from typing import TYPE_CHECKING

import pytest
from permits import facts

from keystead.server import denials
from keystead.server.denials import Count, Denials
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.decide import Deny, Permit, Suspension
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

pytestmark = pytest.mark.requirement("S-20 audit")


def deny(model: str = "") -> Deny:
    denied = Permit(facts(suspended=Suspension("This API key", "no"))).denied
    assert denied is not None
    return Deny(denied.reason, denied.rule, model)


def caller(name: str, organization: str = "org_1", member: str | None = None) -> Principal:
    return Principal(PrincipalKind.API_KEY, name, organization, "wrk_1", member)


def told(counts: list[Count]) -> list[tuple[str, int, float]]:
    return [("" if one.principal is None else one.principal.id, one.times, one.began) for one in counts]


def test_a_minute_of_one_rule_for_one_caller_is_one_count() -> None:
    written: list[Count] = []
    noted = Denials(written.append)
    for now in (60.0, 61.0, 119.9, 120.0):
        noted(caller("key_1"), deny(), now)
    noted(caller("key_2"), deny("m" * 300), 60.0)
    noted.write(119.9)
    assert written == []
    noted.write(120.0)
    assert told(written) == [("key_1", 3, 60.0), ("key_2", 1, 60.0)]
    assert [len(one.model) for one in written] == [0, 100]
    noted.close()
    assert told(written)[2:] == [("key_1", 1, 120.0)]
    noted.close()
    assert len(written) == 3


def test_what_there_is_no_room_for_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "_AT_MOST", 2)
    written: list[Count] = []
    noted = Denials(written.append)
    for number in range(5):
        noted(caller(f"key_{number}"), deny(), 60.0)
    noted(caller("key_0"), deny(), 61.0)
    noted.close()
    assert told(written) == [("key_0", 2, 60.0), ("key_1", 1, 60.0), ("", 3, 60.0)]


def test_what_could_not_be_stored_is_stored_the_next_time() -> None:
    written: list[Count] = []
    trouble = [OSError("no database")]

    def write(count: Count) -> None:
        if trouble:
            raise trouble.pop()
        written.append(count)

    noted = Denials(write)
    noted(caller("key_1"), deny(), 60.0)
    with pytest.raises(OSError, match="no database"):
        noted.write(120.0)
    noted.write(120.0)
    assert told(written) == [("key_1", 1, 60.0)]


def test_an_event_says_who_by_which_rule_and_how_often(administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent

    organization = ids.dump("organization", administrator.organization_id)
    member = ids.dump("membership", administrator.pk)
    noted = Denials(denials.record)
    for _ in range(3):
        noted(caller("key_1", organization, member), deny("claude-opus-5"), 60.0)
    noted.close()
    denials.record(Count(None, "", "", 60.0, 7))
    first, rest = AuditEvent.objects.filter(action="request:deny").order_by("organization_id", "id").reverse()
    assert (first.organization_id, first.actor, first.target) == (administrator.organization_id, "key_1", member)
    assert first.details == {"rule": "suspended", "count": 3, "model": "claude-opus-5"}
    assert (rest.organization_id, rest.actor, rest.details["count"]) == (None, "system", 7)
