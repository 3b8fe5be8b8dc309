"""A rotated key at the gateway's address: both secrets are one key for limits and for the ledger (G-05)."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import TYPE_CHECKING

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.server.allowances import Allowances, LimitTruth
from keystead.server.changes import CHANGES, Changes
from keystead.server.directory import SnapshotDirectory
from keystead.server.limits.sums import Ledger
from keystead.server.policy.limits import Limit, Measure, Period, Scope
from keystead.server.usage.price_list import SHIPPED
from keystead.wire import ids

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

    from keystead.server.organizations.models import Membership


@pytest.mark.requirement("G-05 one key", "G-05 counters")
def test_both_secrets_draw_on_one_limit_and_are_one_name_in_the_ledger(
    serve: "Callable[..., Running]", administrator: "Membership"
) -> None:
    from keystead.server import background
    from keystead.server.keys import operations, rotation

    now = datetime.now(UTC)
    key, old = operations.issue(administrator, "laptop", now=now, random_bytes=token_bytes)
    limit = Limit("spl_1", Scope.KEY, key.wire_id, True, Measure.REQUESTS, Period.MINUTE, 3)
    organization = ids.dump("organization", administrator.organization_id)
    truth = LimitTruth(
        lambda: {organization: [limit]}, lambda _: {}, lambda _limits, _now, borders: Ledger([{}] * len(borders), {})
    )
    directory = SnapshotDirectory(background.truth(), SYSTEM_CLOCK, CHANGES)
    with closing(Allowances(truth, SHIPPED, SYSTEM_CLOCK, Changes())) as allowances, closing(directory):
        running = serve(directory=directory, allowances=allowances)
        assert running.ask(key=old.reveal()).status == 200
        new = rotation.rotate(key, administrator, timedelta(hours=1), now=now, random_bytes=token_bytes)
        assert [running.ask(key=one.reveal()).status for one in (old, new, new, old)] == [200, 200, 429, 429]
        rows = running.ledger.wait(5)
        assert {row.principal_id for row in rows} == {key.wire_id}
        operations.revoke(key, administrator, now)
        assert [running.ask(key=one.reveal()).status for one in (old, new)] == [401, 401]
    for secret in (old, new):
        assert secret.reveal() not in str(running.api.requests)
