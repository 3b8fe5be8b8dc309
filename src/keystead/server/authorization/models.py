"""What the authorization server remembers: clients, sign-ins, and the single-use things that lead to them.

Every secret is stored as :func:`keystead.wire.tokens.digest`; the plaintext leaves once, in a response. A row
that may be used once has ``used_at``: it is consumed by ``UPDATE … WHERE used_at IS NULL``, so that of many
parallel users exactly one wins.
"""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.keys.models import ServiceAccount
from keystead.server.organizations.models import Membership, Organization
from keystead.wire import ids


class AuthMethod(models.TextChoices):
    """How a client proves who it is (RFC 7591 section 2, ``token_endpoint_auth_method``)."""

    NONE = "none", "Nothing: it cannot keep a secret"
    CLIENT_SECRET_BASIC = "client_secret_basic", "A secret, in the Authorization header"
    CLIENT_SECRET_POST = "client_secret_post", "A secret, in the request body"
    PRIVATE_KEY_JWT = "private_key_jwt", "A signature of its own key"


class RegistrationToken(models.Model):
    """What lets programs register themselves, and as what: the initial access token of RFC 7591 section 3.

    Attributes:
        name: what it is for, as its maker called it.
        digest: SHA-256 of the token, which is shown once; ``hint`` is its first 8 characters.
        grant_types: what a client may be registered for with it.
        scope: the scopes a client may be registered for, separated by spaces.
        service_account: whom such a client stands for when it asks in its own name.
        uses: how many clients were registered with it; at most ``max_uses`` may be.
        created_by: the administrator who made it; None is whoever runs the server.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="registration_tokens")
    name = models.CharField(max_length=100)
    digest = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=8)
    grant_types = models.JSONField(default=list)
    scope = models.CharField(max_length=500)
    service_account = models.ForeignKey(ServiceAccount, null=True, on_delete=models.PROTECT, related_name="+")
    max_uses = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        """Its identifier in audit records and addresses, ``rgt_…``."""
        return ids.dump("registration_token", self.id)


class Client(models.Model):
    """A program that may ask for tokens.

    Attributes:
        client_id: its OAuth name, as sent in requests.
        organization: whose client it is; None is one of ours, known to every organization.
        first_party: made by whoever runs this server; only these may use models in a person's name (S-20).
        auth_method: how it authenticates; a client with a secret may send it in either place.
        jwks: its public keys (RFC 7517), for ``private_key_jwt``.
        redirect_uris: exact addresses; loopback ones match on any port (RFC 8252 section 7.3).
        grant_types: what it may send as ``grant_type``.
        scope: the scopes it may ask for, separated by spaces.
        require_pushed_requests: it must hand its authorization requests in itself (RFC 9126).
        dpop_bound: its access tokens must be bound to a key (RFC 9449 section 5.2).
        service_account: whom it stands for when it asks in its own name (RFC 6749 section 4.4).
        may_act_for: the clients whose people it may act for (RFC 8693); empty is nobody's.
        registration_token: with which it registered itself; None when an administrator registered it.
        registration_access_digest: SHA-256 of the token with which it manages its registration (RFC 7592).
        backchannel_logout_uri: where it hears that a sign-in ended (OpenID Connect Back-Channel Logout 1.0), or empty.
        backchannel_logout_session_required: it must be told which sign-in; every logout token says so anyway.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    client_id = models.CharField(max_length=100, unique=True)
    organization = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="clients")
    name = models.CharField(max_length=200)
    first_party = models.BooleanField(default=False)
    auth_method = models.CharField(max_length=32, choices=AuthMethod.choices, default=AuthMethod.NONE)
    jwks = models.JSONField(null=True)
    redirect_uris = models.JSONField(default=list)
    grant_types = models.JSONField(default=list)
    scope = models.CharField(max_length=500)
    require_pushed_requests = models.BooleanField(default=False)
    dpop_bound = models.BooleanField(default=False)
    service_account = models.ForeignKey(ServiceAccount, null=True, on_delete=models.PROTECT, related_name="clients")
    may_act_for = models.JSONField(default=list)
    registration_token = models.ForeignKey(
        RegistrationToken, null=True, on_delete=models.PROTECT, related_name="clients"
    )
    registration_access_digest = models.BinaryField(max_length=32, null=True, unique=True)
    backchannel_logout_uri = models.CharField(max_length=2000, blank=True)
    backchannel_logout_session_required = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name

    @property
    def is_confidential(self) -> bool:
        """Whether it must prove who it is."""
        return self.auth_method != AuthMethod.NONE

    @property
    def wire_id(self) -> str:
        """Its identifier in audit records and addresses, ``cli_…``."""
        return ids.dump("client", self.id)


class ClientSecret(models.Model):
    """A secret of a confidential client; while it is changed there are two.

    Attributes:
        hint: its first 8 characters, to tell two apart.
        expires_at: set when a newer one was made: until then the old one works too.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="secrets")
    hint = models.CharField(max_length=8)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)


class SpentAssertion(models.Model):
    """A signed statement that was used and must not be used again while it is in time (RFC 7523 section 3).

    Attributes:
        digest: hash over who signed it and its ``jti``; the primary key decides who was first.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    expires_at = models.DateTimeField(db_index=True)


class Grant(models.Model):
    """One sign-in, of a person on one device or of a service account: what revocation ends.

    It belongs to a membership or to a service account, never to both.

    Attributes:
        label: what the device said it is, for its owner to recognise; never trusted.
        authenticated_at: when its person last proved who they are, and ``authentication_methods`` how (RFC 8176).
        key_thumbprint: the key its refresh tokens are bound to (RFC 9449 section 5), or empty.
        expires_at: the sign-in ends here however often it is refreshed.
        parent: the sign-in that this one was exchanged from, and with which it ends (RFC 8693).
        act: who acts in it for whom, as its tokens say it (RFC 8693 section 4.1).
        ticket_digest: of the ticket that can end it and do nothing else (R-16).
        owes_logout: its client is to hear of its end and has not been; taken back by compare-and-swap, with the notice.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="grants")
    membership = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="grants")
    service_account = models.ForeignKey(ServiceAccount, null=True, on_delete=models.PROTECT, related_name="grants")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    act = models.JSONField(null=True)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="grants")
    scope = models.CharField(max_length=500)
    label = models.CharField(max_length=200, blank=True)
    authenticated_at = models.DateTimeField(null=True)
    authentication_methods = models.CharField(max_length=100, blank=True)
    key_thumbprint = models.CharField(max_length=43, blank=True)
    ticket_digest = models.BinaryField(max_length=32, null=True, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, db_index=True)
    owes_logout = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="owed_logouts", condition=models.Q(owes_logout=True))]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(membership=None) ^ models.Q(service_account=None), name="one_owner_per_grant"
            ),
        ]

    @property
    def role(self) -> str:
        """The role of whoever it belongs to, as it is now."""
        return self.membership.role if self.membership is not None else self._account.role

    @property
    def subject_id(self) -> str:
        """Wire identifier of the person or the service account it stands for."""
        if self.membership is not None:
            return ids.dump("person", self.membership.person_id)
        return self._account.wire_id

    @property
    def _account(self) -> ServiceAccount:
        assert self.service_account is not None, "the constraint one_owner_per_grant"
        return self.service_account


class LogoutNotice(models.Model):
    """A client that has not heard yet of the end of a sign-in; the row goes when it has, or was told too often in vain.

    It has copies of all that the logout token says, so that it outlives the sign-in.

    Attributes:
        subject: whose sign-in it was, and ``sid`` which, both in wire form; ``audience`` is the client's name.
        tries: how often it was sent; the compare-and-swap on it decides who sends next.
        due_at: not to be sent again before.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    subject = models.CharField(max_length=100)
    sid = models.CharField(max_length=100)
    audience = models.CharField(max_length=100)
    address = models.CharField(max_length=2000)
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(db_index=True)


class AuthorizationCode(models.Model):
    """What the browser carries back to a client (RFC 6749 section 4.1.2), bound to its PKCE challenge.

    Attributes:
        nonce: what the client wants to find in its ID token, or empty.
        key_thumbprint: the key that must redeem it (RFC 9449 section 10), or empty.
        grant: the sign-in it was exchanged for; a replay revokes that.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="+")
    redirect_uri = models.CharField(max_length=2000)
    code_challenge = models.CharField(max_length=43)
    scope = models.CharField(max_length=500)
    nonce = models.CharField(max_length=500, blank=True)
    authenticated_at = models.DateTimeField(null=True)
    authentication_methods = models.CharField(max_length=100, blank=True)
    key_thumbprint = models.CharField(max_length=43, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    grant = models.OneToOneField(Grant, null=True, on_delete=models.PROTECT, related_name="+")


class PushedRequest(models.Model):
    """An authorization request that a client handed in itself (RFC 9126); ``digest`` is of its reference."""

    digest = models.BinaryField(primary_key=True, max_length=32)
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+")
    parameters = models.JSONField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)


class Consent(models.Model):
    """What a member has agreed to for a client, and when last."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="consents")
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="consents")
    scope = models.CharField(max_length=500)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["membership", "client"], name="one_consent_per_client")]


class DeviceCode(models.Model):
    """A device that waits for a person to type its code (RFC 8628).

    Attributes:
        user_code_digest: hash of the short code, without its hyphen.
        interval: seconds the device must leave between polls; grows by 5 with every ``slow_down``.
        membership: who approved it, and ``organization`` for which account.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    user_code_digest = models.BinaryField(unique=True, max_length=32)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="+")
    organization = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT, related_name="+")
    scope = models.CharField(max_length=500)
    label = models.CharField(max_length=200, blank=True)
    authenticated_at = models.DateTimeField(null=True)
    authentication_methods = models.CharField(max_length=100, blank=True)
    interval = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    last_polled_at = models.DateTimeField(null=True)
    approved_at = models.DateTimeField(null=True)
    denied_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)


class RefreshToken(models.Model):
    """One generation of a sign-in's refresh token; the grant is the family.

    Attributes:
        generation: 1, then one more with every rotation; unique in its family, so a token has one successor.
        expires_at: a sign-in not refreshed until here has ended.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, related_name="refresh_tokens")
    generation = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["grant", "generation"], name="one_token_per_generation")]


class SigningKey(models.Model):
    """A key that signs access tokens; the newest active one signs, all published ones verify.

    Attributes:
        kid: RFC 7638 thumbprint of the public key.
        sealed: the private JWK, encrypted under a key derived from the server's secret key.
        published_until: verifies until here; None while it signs.
    """

    kid = models.CharField(primary_key=True, max_length=43)
    public_jwk = models.JSONField()
    sealed = models.TextField()
    created_at = models.DateTimeField()
    published_until = models.DateTimeField(null=True)
