"""Person, the one-time codes that lead to one, and the browsers they are signed in with."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models

from keystead.server.identifiers import new_id

if TYPE_CHECKING:
    from keystead.server.identity.session_store import SessionStore


class PersonManager(BaseUserManager["Person"]):
    """Creates people by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "Person":
        """Store a new person; the address is lower-cased, because people type it either way."""
        person = self.model(email=email.strip().lower(), **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person

    def get_by_natural_key(self, username: str | None) -> "Person":
        """Return the person with that address, whatever its case."""
        return self.get(email=(username or "").strip().lower())


class Person(AbstractBaseUser):
    """Somebody who signs in.

    Attributes:
        email: where they get mail and what they sign in with.
        email_verified_at: since when it is known that ``email`` is theirs, by a mailed link, an identity provider or
            SCIM; None while it is only what somebody typed. No account is matched by an address that is not verified.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(unique=True)
    email_verified_at = models.DateTimeField(null=True)
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    objects: ClassVar[PersonManager] = PersonManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.name or self.email


class SetupCode(models.Model):
    """The hash of the one-time code that creates the first administrator."""

    digest = models.BinaryField(primary_key=True, max_length=32)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class Purpose(models.TextChoices):
    """What a link is for."""

    RESET = "reset", "A new password"
    ADDRESS = "address", "An e-mail address"


class LinkCode(models.Model):
    """The hash of the one-time code in a link that a person was sent.

    Attributes:
        email: the address it was mailed to, which whoever has the code can read; empty for a link made on the machine.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="link_codes")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    email = models.EmailField(blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)


class BrowserSession(AbstractBaseSession):
    """One browser's session; whoever is not signed in may have one too.

    Attributes:
        session_key: SHA-256 of what the cookie holds, in hexadecimal: who reads the database cannot be that browser.
        public_id: what the person's list calls it.
        person: who is signed in with it.
        user_agent: what the browser calls itself; never trusted.
        address: where its last noted request came from.
        last_seen_at: to some minutes.
    """

    session_key = models.CharField(primary_key=True, max_length=64)
    public_id = models.UUIDField(unique=True, default=new_id)
    person = models.ForeignKey(Person, null=True, on_delete=models.CASCADE, related_name="browser_sessions")
    user_agent = models.CharField(max_length=300, blank=True)
    address = models.CharField(max_length=45, blank=True)
    signed_in_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField(null=True)

    @classmethod
    def get_session_store_class(cls) -> "type[SessionStore]":
        """Return what reads and writes these rows."""
        from keystead.server.identity.session_store import SessionStore

        return SessionStore


class CacheEntry(models.Model):
    """A row of :mod:`keystead.server.identity.shared_cache`.

    Attributes:
        key: SHA-256 of the cache's key.
        ends_at: Unix seconds; the value is not there any more from then on.
    """

    key = models.CharField(max_length=64, primary_key=True)
    value = models.TextField()
    ends_at = models.FloatField(db_index=True)
