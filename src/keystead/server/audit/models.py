"""AuditEvent."""

from typing import Any, NoReturn

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Organization


class AuditEvent(models.Model):
    """One thing that happened; written once, never changed or removed.

    Attributes:
        organization: where it happened; None for the installation itself.
        actor: who did it, as a wire identifier (:mod:`keystead.wire.ids`), or ``system``.
        action: ``subject:verb``, such as ``api_key:revoke``.
        target: what it was done to, as a wire identifier.
        details: further facts; never a secret.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="audit_events")
    actor = models.CharField(max_length=64)
    action = models.CharField(max_length=64, db_index=True)
    target = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)
    details = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.action} {self.target}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new event; an event that is already stored stays as it is."""
        if not self._state.adding:
            raise TypeError("an audit event cannot be changed")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: the record of what happened outlives what it happened to."""
        raise TypeError("an audit event cannot be removed")
