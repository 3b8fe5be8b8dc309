"""ScimToken, and what SCIM knows of a member or a group beyond what everybody knows."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Group, Membership, Organization
from keystead.wire import ids

LONGEST_NAME = 255


class ScimToken(models.Model):
    """What an identity provider proves itself with; two may work at once, so that one can be replaced.

    Attributes:
        digest: SHA-256 of the token, which is shown once.
        hint: its first 8 characters, to tell two apart.
        last_used_at: to the hour, so that its owner sees which of two is still in use.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="scim_tokens")
    digest = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=8)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    last_used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    @property
    def wire_id(self) -> str:
        """Its identifier in audit records and addresses, ``sct_…``."""
        return ids.dump("scim_token", self.id)


class ScimUser(models.Model):
    """What SCIM adds to a membership; every membership of an organization has one as soon as SCIM asks.

    Attributes:
        user_name: ``userName`` in one case, unique in its organization; None once the user was deleted.
        document: the resource as the identity provider wrote it, without what the membership itself says.
        managed: whether the identity provider wrote it; a member whom it was only shown is not in its care.
    """

    membership = models.OneToOneField(Membership, primary_key=True, on_delete=models.PROTECT, related_name="scim")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    user_name = models.CharField(max_length=LONGEST_NAME, null=True)
    external_id = models.CharField(max_length=LONGEST_NAME, blank=True, db_index=True)
    document = models.JSONField(default=dict)
    managed = models.BooleanField(default=False)
    modified_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "user_name"], name="one_scim_user_per_name")]


class ScimGroup(models.Model):
    """What SCIM adds to a group it made."""

    group = models.OneToOneField(Group, primary_key=True, on_delete=models.CASCADE, related_name="scim")
    document = models.JSONField(default=dict)
    modified_at = models.DateTimeField()
