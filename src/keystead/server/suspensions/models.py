"""Suspension."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Membership, Organization


class Suspension(models.Model):
    """That somebody or something uses no models in an organization until it is lifted (S-23).

    Unlike a revocation it ends nothing: sign-ins and keys work again once it is lifted.

    Attributes:
        subject: what is suspended, as it is called on the wire: ``key_…``, ``mem_…``, ``svac_…``, or a client's name.
        reason: one sentence, which whoever is refused reads too.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="suspensions")
    subject = models.CharField(max_length=100)
    reason = models.CharField(max_length=200)
    by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    lifted_by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "subject"], condition=models.Q(lifted_at=None), name="one_suspension_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"
