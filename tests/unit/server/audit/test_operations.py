"""Audit events are added, never changed or removed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_an_event_cannot_be_changed_or_removed(database: Path) -> None:
    from keystead.server.audit import operations
    from keystead.server.audit.models import AuditEvent

    operations.record(organization=None, actor=operations.SYSTEM, action="server:start", target="", at=NOW)
    event = AuditEvent.objects.get()
    with pytest.raises(TypeError):
        event.save()
    with pytest.raises(TypeError):
        event.delete()


@pytest.mark.parametrize("action", ["", "start", "Server:start", "server:start now"])
def test_an_action_is_subject_and_verb(database: Path, action: str) -> None:
    from keystead.server.audit import operations

    with pytest.raises(ValueError, match="subject:verb"):
        operations.record(organization=None, actor=operations.SYSTEM, action=action, target="", at=NOW)
