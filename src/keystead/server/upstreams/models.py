"""Upstream: a model server that an organization's requests go to."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Organization
from keystead.wire import ids


class Upstream(models.Model):
    """One upstream of one organization.

    Attributes:
        position: the smallest is asked first.
        kind: a value of :class:`~keystead.server.upstream_shape.Kind`.
        base_url: without a slash at its end.
        region: of a cloud, and the next its project; empty elsewhere.
        profile: where Bedrock may process a request, a key of :data:`~keystead.server.cloud_names.PROFILES`; empty for
            the geography of its region.
        model_names: the upstream's model identifier by the client's.
        serves: entries of the models it is asked for; empty is every model.
        headers: name and value of lines that every request gets; never a credential.
        first_byte_seconds: how long it may think; None is the gateway's own limit.
        method: how it is shown who asks, a row of :mod:`~keystead.server.upstreams.methods`; empty while nothing is
            set, and then nothing is sent there.
        sealed_credential: the method's fields as JSON, each a value or a reference, encrypted.
        version: 1, then one more with every change.
        checked_at: when it was last asked or its credential last read with a new outcome; None for never.
        checked_result: that outcome, one sentence.
        works: whether it was a good one; None while there is none.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="upstreams")
    name = models.CharField(max_length=100)
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=16)
    base_url = models.CharField(max_length=500)
    region = models.CharField(max_length=64, blank=True)
    project = models.CharField(max_length=64, blank=True)
    profile = models.CharField(max_length=16, blank=True, default="")
    model_names = models.JSONField(default=dict)
    serves = models.JSONField(default=list)
    headers = models.JSONField(default=dict)
    first_byte_seconds = models.FloatField(null=True)
    method = models.CharField(max_length=32, blank=True)
    sealed_credential = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)
    checked_result = models.CharField(max_length=500, blank=True)
    works = models.BooleanField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_upstream_per_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``upst_…``."""
        return ids.dump("upstream", self.id)
