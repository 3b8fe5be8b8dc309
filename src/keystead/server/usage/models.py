"""The ledger's table."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.keys.models import ServiceAccount
from keystead.server.organizations.models import Membership, Organization, Workspace


class UsageEntry(models.Model):
    """One request as the ledger keeps it; the fields are those of :class:`keystead.server.usage.record.UsageRecord`.

    Rows are only added; only their cost may be computed again. What prices need is empty in rows that are older
    than prices, and ``upstream_kind`` and ``tariff`` in those that are older than them. ``cost_micro`` is in micro-
    units; ``price`` names the row of the price book, empty if nothing was used. ``covered_micro`` is the part of
    the cost that an allowance covers, and the rest is billed; None where the caller has no allowance. The relations
    carry no database constraint: a record of what an upstream was paid for is kept whatever has happened to the
    rows it names.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    request_id = models.CharField(max_length=64)
    organization = models.ForeignKey(Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    member = models.ForeignKey(Membership, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    principal_kind = models.CharField(max_length=16)
    principal_id = models.CharField(max_length=64)
    client = models.CharField(max_length=200)
    session_id = models.CharField(max_length=200)
    upstream = models.CharField(max_length=32)
    model = models.CharField(max_length=200)
    status = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    input_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    cache_read_tokens = models.PositiveBigIntegerField()
    cache_write_tokens = models.PositiveBigIntegerField()
    streamed = models.BooleanField()
    aborted = models.BooleanField()
    estimated = models.BooleanField()
    service_account = models.ForeignKey(
        ServiceAccount, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    cache_write_1h_tokens = models.PositiveBigIntegerField(null=True)
    web_searches = models.PositiveBigIntegerField(null=True)
    cost_micro = models.PositiveBigIntegerField(null=True)
    price = models.CharField(max_length=200, null=True)
    cost_is_estimate = models.BooleanField(null=True)
    upstream_kind = models.CharField(max_length=16, default="")
    covered_micro = models.PositiveBigIntegerField(null=True)
    tariff = models.CharField(max_length=64, default="", db_default="")

    class Meta:
        indexes = [models.Index(fields=["organization", "started_at"], name="usage_by_day")]

    def __str__(self) -> str:
        return self.request_id
