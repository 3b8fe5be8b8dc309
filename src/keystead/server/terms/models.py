"""Terms, Governance, Acceptance."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Membership, Organization
from keystead.server.policy.terms import Kind
from keystead.wire import ids

_KINDS = [(kind.value, kind.value.capitalize()) for kind in Kind]
_KNOWN = models.Q(kind__in=[kind.value for kind in Kind])


class Terms(models.Model):
    """One version of one kind, as it was published; it is never changed.

    Attributes:
        version: as the operator calls it; the order of versions is that of their publication.
        digest: SHA-256 of the text in UTF-8, which every acceptance writes into the audit log.
        in_force_at: from then on the gateway asks for it; those before it hold until then.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=16, choices=_KINDS)
    version = models.CharField(max_length=40)
    text = models.TextField()
    digest = models.BinaryField(max_length=32)
    published_at = models.DateTimeField()
    in_force_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "version"], name="one_text_per_terms_version"),
            models.CheckConstraint(condition=_KNOWN, name="terms_of_a_known_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``trm_…``."""
        return ids.dump("terms", self.id)


class Governance(models.Model):
    """Which kind governs an organization that has chosen one; without a row it is the default."""

    organization = models.OneToOneField(Organization, primary_key=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=_KINDS)

    class Meta:
        constraints = [models.CheckConstraint(condition=_KNOWN, name="governed_by_a_known_kind")]

    def __str__(self) -> str:
        return f"{self.organization}: {self.kind}"


class Acceptance(models.Model):
    """That a member has accepted a version, for themselves or for their organization.

    Attributes:
        for_organization: it binds the organization with its pipelines; its first one is the one that counts.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    terms = models.ForeignKey(Terms, on_delete=models.PROTECT, related_name="acceptances")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    for_organization = models.BooleanField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["terms", "by"], condition=models.Q(for_organization=False), name="accepted_once_by_a_member"
            ),
            models.UniqueConstraint(
                fields=["terms", "organization"],
                condition=models.Q(for_organization=True),
                name="accepted_once_for_an_organization",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.terms} by {self.by}"
