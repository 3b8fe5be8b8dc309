"""Connection, Domain, Identity, Attempt: whom an organization trusts to say who somebody is, and what was said.

The key to a person is the subject of one connection, never the e-mail address alone: addresses are handed on to the
next employee, subjects are not.
"""

from django.conf import settings
from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.organizations.models import Organization
from keystead.wire import ids


class Kind(models.TextChoices):
    """The protocol a connection speaks."""

    OIDC = "oidc", "OpenID Connect"
    SAML = "saml", "SAML 2.0"


class Connection(models.Model):
    """One identity provider of one organization.

    Attributes:
        settings: what its kind needs, as :mod:`keystead.server.sso.settings` reads it; never a secret.
        sealed_secret: the client secret, encrypted (:mod:`keystead.server.sealing`); empty for none.
        rules: who may come in and as what (:class:`keystead.server.sso.admission.Rules`).
        enabled_at: since when people sign in through it; None while it is being set up or is switched off.
        disabled_at: when it was last switched off; what came through it before that has ended.
        deleted_at: it is gone for everybody; the row stays, so that sign-ins that came through it are known and end.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="connections")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=100)
    settings = models.JSONField(default=dict)
    sealed_secret = models.TextField(blank=True)
    rules = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    enabled_at = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """The identifier on the wire, ``con_…``."""
        return ids.dump("connection", self.id)


class Domain(models.Model):
    """An e-mail domain that an organization says is its own.

    Attributes:
        challenge: what the owner of the domain publishes to prove it.
        verified_at: since when that is proven; only then does the domain count for anything.
        verified_by: ``dns``, or ``operator`` for the word of whoever runs this server.
        required: whether people with such an address sign in by single sign-on only.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="domains")
    name = models.CharField(max_length=253)
    challenge = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True)
    verified_by = models.CharField(max_length=16, blank=True)
    required = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="one_claim_per_organization"),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(verified_at__isnull=False), name="one_owner_per_domain"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """The identifier on the wire, ``dom_…``."""
        return ids.dump("domain", self.id)


class Identity(models.Model):
    """A person as one connection knows them.

    Attributes:
        subject: the identity provider's own identifier of the person; never reused, unlike an address.
        email: the address of the last sign-in, for people to recognise.
        manages_role: whether the connection made the membership, and so may change its role.
        sealed_refresh_token: the identity provider's refresh token, encrypted; empty when it gave none.
        valid_until: without a refresh token nobody can ask again, so what was said holds until here.
        confirmed_at: when the identity provider last said that the person is still welcome.
        asked_at: when it was last asked; taken by compare-and-swap, so that one process asks at a time.
        refused_at: when it said no; a new sign-in clears it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="identities")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    subject = models.CharField(max_length=512)
    email = models.EmailField()
    manages_role = models.BooleanField(default=False)
    sealed_refresh_token = models.TextField(blank=True)
    valid_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True)
    refused_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "subject"], name="one_identity_per_subject"),
            models.UniqueConstraint(fields=["connection", "person"], name="one_identity_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.email} by {self.connection}"


class Attempt(models.Model):
    """One sign-in under way; used once.

    Attributes:
        digest: hash of the ``state`` that went out, and of what comes back.
        browser: hash of a value in the session of the browser it began in; empty when the identity provider began.
        next_path: where the person wanted to go, a path of this server.
        trial: an administrator's test: it shows what would happen and signs nobody in.
        again: the identity provider was told to ask anew who is there, and its answer must say so.
        arrived: what a SAML response said, between the request that brought it and the browser's next one.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    browser = models.BinaryField(max_length=32)
    next_path = models.CharField(max_length=2000)
    trial = models.BooleanField(default=False)
    again = models.BooleanField(default=False)
    arrived = models.JSONField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)


class SeenAssertion(models.Model):
    """An assertion that was taken; a second one with its identifier is a replay. Kept until it has expired anyway."""

    digest = models.BinaryField(primary_key=True, max_length=32)
    expires_at = models.DateTimeField(db_index=True)
