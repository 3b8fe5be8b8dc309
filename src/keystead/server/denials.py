"""What the gateway refused, written down without a request waiting for it (S-20).

A program that is refused asks again and again. So refusals are counted by caller, rule and minute, in memory, and each
count becomes one audit event once its minute is over. There is room for a bounded number of different ones in a minute;
what goes beyond is one count of its own, so that nothing is lost without a trace.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keystead.server.policy import Principal
from keystead.server.policy.decide import Deny

_AT_MOST: Final = 10_000
_MINUTE: Final = 60.0
_LONGEST_MODEL: Final = 100


@dataclass(slots=True)
class Count:
    """How often one rule refused one caller in one minute.

    Attributes:
        principal: the caller; None for all those that there was no room for.
        rule: the rule's identifier.
        model: the first model that was asked for, when the rule is about models.
        began: Unix seconds of the first.
        times: how often.
    """

    principal: Principal | None
    rule: str
    model: str
    began: float
    times: int = 0


Write = Callable[[Count], object]
"""Stores one count; whatever it raises leaves the count for the next time."""


class Denials:
    """Counts refusals until :meth:`write`."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, int], Count] = {}

    def __call__(self, principal: Principal, deny: Deny, now: float) -> None:
        """Count one; called on the event loop, so it only looks into memory."""
        name = (principal.id, deny.rule.id, int(now // _MINUTE))
        with self._lock:
            count = self._counts.get(name)
            if count is None and len(self._counts) >= _AT_MOST:
                name = ("", "", name[2])
                count = self._counts.setdefault(name, Count(None, "", "", now))
            if count is None:
                count = self._counts[name] = Count(principal, deny.rule.id, deny.model[:_LONGEST_MODEL], now)
            count.times += 1

    def write(self, now: float) -> None:
        """Store the counts of the minutes that are over."""
        self._store(int(now // _MINUTE))

    def close(self) -> None:
        """Store all counts."""
        self._store(None)

    def _store(self, before: int | None) -> None:
        with self._lock:
            due = [name for name in self._counts if before is None or name[2] < before]
        for name in due:
            self._write(self._counts[name])
            with self._lock:
                del self._counts[name]


def record(count: Count) -> None:
    """Write one count into the audit log."""
    from datetime import UTC, datetime

    from keystead.server.audit import operations as audit
    from keystead.server.organizations.models import Organization
    from keystead.wire import ids

    principal = count.principal
    audit.record(
        organization=None
        if principal is None
        else Organization(pk=ids.parse("organization", principal.organization_id)),
        actor=audit.SYSTEM if principal is None else principal.id,
        action="request:deny",
        target=audit.SYSTEM
        if principal is None
        else principal.member_id or principal.service_account_id or principal.id,
        at=datetime.fromtimestamp(count.began, UTC),
        details={
            "rule": count.rule,
            "count": count.times,
            **({"model": count.model} if count.model else {}),
            **({"client": principal.client_id} if principal is not None and principal.client_id else {}),
        },
    )
