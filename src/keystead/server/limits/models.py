"""Limit, and which settlements the ledger has."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Membership, Organization
from keystead.wire import ids


class Limit(models.Model):
    """One limit of an organization; what it means is said in :class:`keystead.server.policy.limits.Limit`.

    Attributes:
        subject: the UUID of what the scope names; the organization's own for that.
        amount: micro-units of money, or a number; None lifts the limits that would count otherwise.
        beyond: a :class:`keystead.server.policy.limits.Beyond`; older servers know no other than the first.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="limits")
    scope = models.CharField(max_length=16)
    subject = models.UUIDField()
    shared = models.BooleanField()
    measure = models.CharField(max_length=16)
    period = models.CharField(max_length=16)
    amount = models.PositiveBigIntegerField(null=True)
    beyond = models.CharField(max_length=8, default="stopped", db_default="stopped")
    created_by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "scope", "subject", "shared", "measure", "period"], name="one_limit_of_a_kind"
            )
        ]

    def __str__(self) -> str:
        return f"{self.measure} {self.period} of {self.scope}"

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``spl_…``."""
        return ids.dump("limit", self.id)


class StoredUpTo(models.Model):
    """Up to which of its settlements a server's rows are in the ledger; written with them.

    Whoever sums the ledger up reads it at the same moment, and so knows of each settlement that another server told of
    whether the sum has it (:mod:`keystead.server.limits.shared`).

    Attributes:
        server: the name that it drew at its start.
        settlement: the number.
        at: when it was written.
    """

    server = models.CharField(max_length=32, primary_key=True)
    settlement = models.PositiveBigIntegerField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.server
