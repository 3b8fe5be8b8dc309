"""Policy, and every version of its document there was."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Group, Membership, Organization
from keystead.wire import ids


class Policy(models.Model):
    """A managed-settings document and whom it is for (S-19).

    Attributes:
        position: the first that matches wins; the smallest is asked first.
        groups: a member of any of them is meant; with none, and no domain, everybody is: the base.
        for_groups: whether groups were chosen; when all of them are gone, it is for nobody.
        settings: the document, as it was typed.
        version: 1, then one more with every change.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="policies")
    name = models.CharField(max_length=100)
    position = models.PositiveIntegerField()
    groups = models.ManyToManyField(Group, related_name="policies")
    for_groups = models.BooleanField(default=False)
    email_domain = models.CharField(max_length=253, blank=True)
    settings = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_policy_per_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``pol_…``."""
        return ids.dump("policy", self.id)

    @property
    def is_for_nobody(self) -> bool:
        """Whether all the groups it was for are gone."""
        return self.for_groups and not self.groups.all()


class PolicyVersion(models.Model):
    """What a policy said at one time; written once, so that anybody can see what was in force when."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    policy = models.ForeignKey(Policy, null=True, on_delete=models.SET_NULL, related_name="versions")
    version = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    settings = models.JSONField(default=dict)
    author = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["policy", "version"], name="one_text_per_version")]
