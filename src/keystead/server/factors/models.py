"""What is stored of each factor: never what would let somebody use it."""

from django.db import models

from keystead.server.identifiers import new_id
from keystead.server.identity.models import Person
from keystead.server.organizations.models import Organization


class AuthenticatorApp(models.Model):
    """An app that shows a new six-digit code every half minute (RFC 6238).

    Attributes:
        sealed: the shared secret, encrypted under a key that the database does not hold.
        last_step: the half minute of the last code that was taken; a code of it or before is not taken again.
    """

    person = models.OneToOneField(Person, on_delete=models.CASCADE, primary_key=True, related_name="authenticator_app")
    sealed = models.TextField()
    last_step = models.BigIntegerField()
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)


class Passkey(models.Model):
    """A key pair of a device or a password manager (WebAuthn Level 3); what is here is public.

    Attributes:
        credential_id: the authenticator's name for it.
        credential: its public key and authenticator model, as attested (WebAuthn section 6.5.1).
        sign_count: the authenticator's counter; 0 for those that do not count.
        last_challenge: SHA-256 of the challenge of the last answer that was taken, so that none is taken twice.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="passkeys")
    credential_id = models.BinaryField(unique=True, max_length=1023)
    credential = models.BinaryField()
    sign_count = models.BigIntegerField(default=0)
    last_challenge = models.BinaryField(max_length=32, default=b"")
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class RecoveryCode(models.Model):
    """A code on paper for the day on which every other factor is lost; works once. Only its hash is stored."""

    digest = models.BinaryField(primary_key=True, max_length=32)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="recovery_codes")
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class Requirement(models.Model):
    """An organization that asks its people for a second factor; without a row it does not."""

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="second_factor_requirement"
    )
    created_at = models.DateTimeField()
