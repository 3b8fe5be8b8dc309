"""ApiKey, ServiceAccount."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Membership, Organization, Workspace
from keystead.wire import ids


class ServiceAccount(models.Model):
    """A program of an organization that acts in its own name: it has no password, only ways to get short tokens.

    Attributes:
        role: what it may do at most, as a member of that role may.
        disabled_at: ended for good, its tokens with it; None while it works.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="service_accounts")
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="service_accounts")
    name = models.CharField(max_length=100)
    role = models.CharField(max_length=32)
    created_by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"], condition=models.Q(disabled_at=None), name="one_live_account_per_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``svac_…``."""
        return ids.dump("service_account", self.id)


class Purpose(models.TextChoices):
    """What a key may be used for."""

    AGENT = "agent", "Coding agent"
    ANY = "any", "Any program"


class ApiKey(models.Model):
    """A long-lived credential of one member, stored as its hash.

    Attributes:
        digest: SHA-256 of the key; the key itself is shown once and kept nowhere.
        hint: its first 8 characters, for its owner to tell keys apart.
        revoked_by: who ended it, or None while it works.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="api_keys")
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="api_keys")
    member = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100)
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    digest = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=8)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``key_…``."""
        return ids.dump("api_key", self.id)
