"""Writing down what happened."""

import re
from datetime import datetime
from typing import Final

from keystead.server.audit.models import AuditEvent
from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Organization
from keystead.server.statements import store

SYSTEM: Final = "system"
"""The actor of what the server does by itself."""

_ACTION: Final = re.compile(r"[a-z_]+:[a-z_]+")

Details = dict[str, str | int | bool | None]


def record(
    *,
    organization: Organization | None,
    actor: str,
    action: str,
    target: str,
    at: datetime,
    details: Details | None = None,
) -> None:
    """Store one event, in the transaction of the change it tells of: both happen, or neither.

    Args:
        organization: where it happened; None for the installation itself.
        actor: the wire identifier of who did it, or :data:`SYSTEM`.
        action: ``subject:verb``.
        target: the wire identifier of what it was done to.
        at: when, with time zone.
        details: further facts as plain values. They are kept for ever: no secret, no prompt.
    """
    if not _ACTION.fullmatch(action):
        raise ValueError(f"an audit action is subject:verb, not {action!r}")
    store(
        AuditEvent,
        id=new_id(),
        organization_id=None if organization is None else organization.pk,
        actor=actor,
        action=action,
        target=target,
        at=at,
        details=details or {},
    )
