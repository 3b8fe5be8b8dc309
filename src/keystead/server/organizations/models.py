"""Organization, Workspace, Membership, Group, Invitation."""

from django.conf import settings
from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.roles import Role
from keystead.wire import ids


class Organization(models.Model):
    """Who pays: every other row belongs to one.

    Attributes:
        zero_retention: nothing of a prompt or a completion is to be kept by anybody whom the server can tell (S-22).
        baa: a business associate agreement covers its traffic, which it does only while the former is on.
        proven_clients: a person's sign-in counts only from a client that is proven, not from one that is declared.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    zero_retention = models.BooleanField(default=False)
    baa = models.BooleanField(default=False)
    proven_clients = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(baa=False) | models.Q(zero_retention=True), name="no_baa_without_zero_retention"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Workspace(models.Model):
    """A part of an organization that keys and usage are counted for."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="workspaces")
    name = models.CharField(max_length=200)
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(is_default=True), name="one_default_workspace"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person in one organization, in one role.

    Attributes:
        deactivated_at: since when the person may not act here; None while they may.
        credentials_since: sign-ins and keys begun before this moment are over, whatever else is said of them. One
            column ends them all, so that none can be forgotten; to be active again does not revive them.
        changed_at: when anything last changed that decides about its credentials: its end, its return, its role. By
            it other processes find what they did not hear of. None until the first change.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="memberships")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=32, choices=[(role.value, role.value) for role in Role])
    created_at = models.DateTimeField()
    deactivated_at = models.DateTimeField(null=True)
    credentials_since = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "person"], name="one_membership_per_person")]
        indexes = [
            models.Index(fields=["changed_at"], condition=models.Q(changed_at__isnull=False), name="member_changed"),
            models.Index(
                fields=["organization"], condition=models.Q(deactivated_at__isnull=False), name="ended_memberships"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} in {self.organization}"


class GroupSource(models.TextChoices):
    """Who says who is in a group; the others may not change it."""

    CONSOLE = "console", "This console"
    SCIM = "scim", "SCIM"
    SSO = "sso", "Single sign-on"


class Group(models.Model):
    """Members that policies, limits and roles speak of together.

    Attributes:
        external_id: what the identity provider calls it; empty for a group of the console.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="groups")
    name = models.CharField(max_length=200)
    external_id = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=16, choices=GroupSource.choices)
    members = models.ManyToManyField(Membership, through="GroupMembership", related_name="groups")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_group_per_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``grp_…``."""
        return ids.dump("group", self.id)


class GroupMembership(models.Model):
    """One member in one group."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "membership"], name="once_in_a_group")]


class Invitation(models.Model):
    """What lets one person, by their e-mail address, into one organization; used once.

    Attributes:
        email: lower-case.
        groups: groups of the console that the person is put into.
        digest: SHA-256 of the code in the link that is shown once, for handing on; a new link replaces it.
        mailed_digest: the same of the code in the letter, which only a reader of that address has; None without one.
        invited_by: who made the link; what they may no longer do, it does no longer. None for whoever runs the server.
        created_at: when the link was made.
        accepted_by: the membership that came of it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=32, choices=[(role.value, role.value) for role in Role])
    groups = models.ManyToManyField(Group, related_name="+")
    digest = models.BinaryField(max_length=32, unique=True)
    mailed_digest = models.BinaryField(max_length=32, null=True, unique=True)
    invited_by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="one_open_invitation",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization}"

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``inv_…``."""
        return ids.dump("invitation", self.id)
