"""ApiKey, ServiceAccount, and the federation rules by which other issuers' identities become service accounts."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Membership, Organization, Workspace
from keystead.server.policy.federation import Condition, Operator
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


class KeySource(models.TextChoices):
    """Where an issuer's public keys come from."""

    DISCOVERY = "discovery", "From its discovery document"
    URL = "explicit_url", "From an address of their own"
    INLINE = "inline", "Pasted here; nothing is fetched"


class FederationIssuer(models.Model):
    """Somebody else who signs identity tokens of workloads, such as a build platform or a cluster.

    Attributes:
        issuer_url: the ``iss`` of its tokens, exactly.
        audience: the ``aud`` that its tokens must have.
        jwks_url: where the keys are, when they have an address of their own.
        jwks: the keys themselves, when nothing is fetched.
        ca_pem: authorities to trust when fetching, instead of the system's; empty for those.
        check_jti: whether a token with a ``jti`` works once only.
        max_lifetime_seconds: for how long its tokens may have been made (``exp`` less ``iat``).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="federation_issuers")
    name = models.CharField(max_length=100)
    issuer_url = models.CharField(max_length=500)
    audience = models.CharField(max_length=500)
    key_source = models.CharField(max_length=16, choices=KeySource.choices, default=KeySource.DISCOVERY)
    jwks_url = models.CharField(max_length=500, blank=True)
    jwks = models.JSONField(null=True)
    ca_pem = models.TextField(blank=True)
    check_jti = models.BooleanField(default=True)
    max_lifetime_seconds = models.PositiveIntegerField(default=3600)
    created_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"], condition=models.Q(disabled_at=None), name="one_live_issuer_per_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``fdis_…``."""
        return ids.dump("federation_issuer", self.id)


class FederationRule(models.Model):
    """Which identities of an issuer act as a service account, and for how long at a time.

    Attributes:
        conditions: as :class:`keystead.server.policy.federation.Condition` has them, all of which must hold.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="federation_rules")
    issuer = models.ForeignKey(FederationIssuer, on_delete=models.PROTECT, related_name="rules")
    service_account = models.ForeignKey(ServiceAccount, on_delete=models.PROTECT, related_name="federation_rules")
    name = models.CharField(max_length=100)
    conditions = models.JSONField()
    scope = models.CharField(max_length=500)
    lifetime_seconds = models.PositiveIntegerField(default=3600)
    created_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"], condition=models.Q(disabled_at=None), name="one_live_rule_per_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``fdrl_…``."""
        return ids.dump("federation_rule", self.id)

    @property
    def parsed_conditions(self) -> tuple[Condition, ...]:
        """The conditions as :mod:`keystead.server.policy.federation` takes them."""
        return tuple(Condition(claim, Operator(operator), value) for claim, operator, value in self.conditions)


class Purpose(models.TextChoices):
    """What a key may be used for."""

    AGENT = "agent", "Coding agent"
    ANY = "any", "Any program"


class ApiKey(models.Model):
    """A long-lived credential of one member, stored as the hash of its secret; of two while one replaces the other.

    Attributes:
        digest: SHA-256 of the secret; the secret itself is shown once and kept nowhere.
        hint: its first 8 characters, for its owner to tell keys apart.
        used_at: when it was last used; known only while there is an old secret beside it.
        old_digest: the same of the secret that it replaced, None once that has ended.
        old_until: when the old secret ends.
        secrets_changed_at: when a secret was replaced or ended before its time, None while neither happened.
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
    used_at = models.DateTimeField(null=True)
    old_digest = models.BinaryField(max_length=32, unique=True, null=True)
    old_hint = models.CharField(max_length=8, blank=True, db_default="")
    old_until = models.DateTimeField(null=True)
    old_used_at = models.DateTimeField(null=True)
    secrets_changed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], name="key_created"),
            models.Index(fields=["revoked_at"], condition=models.Q(revoked_at__isnull=False), name="key_revoked"),
            models.Index(
                fields=["secrets_changed_at"],
                condition=models.Q(secrets_changed_at__isnull=False),
                name="key_secrets_changed",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier outside the server, ``key_…``."""
        return ids.dump("api_key", self.id)
