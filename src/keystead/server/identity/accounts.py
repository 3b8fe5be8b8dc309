"""What a person changes about how they are known: the password and the address. One truth for each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction

from keystead.errors import CredentialRejected
from keystead.server.audit import operations as audit
from keystead.server.identity import browser_sessions, link_codes, passwords
from keystead.server.identity.models import LinkCode, Person
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Organization
from keystead.wire import ids

SOMEBODY: Final = audit.SYSTEM
"""The actor of what anybody may ask for who is not signed in."""


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that somebody chose.

    Attributes:
        text: as it was typed.
        keep: the key of the browser session that goes on; None ends all of them.
    """

    text: str
    keep: str | None = None


def find(email: str) -> Person | None:
    """Return the person with that address, whether they have verified it or not."""
    return Person.objects.filter(email=email.strip().lower()).first()


def change_password(person: Person, chosen: NewPassword, now: datetime) -> None:
    """Give a person a new password, and end their other browser sessions and their links.

    Raises:
        UsageError: the password will not do.
        CredentialRejected: it was changed by somebody else at the same time.
    """
    encoded = _checked(person, chosen)
    with transaction.atomic():
        _store(person, encoded, chosen, now)
        record(person, "person:change_password", now)


def reset_password(link: LinkCode, chosen: NewPassword, now: datetime, also: Callable[[], None] = lambda: None) -> None:
    """Use a link up for a new password; a link that was mailed also shows that the address is the person's.

    Args:
        link: what they followed.
        chosen: the new password.
        now: when.
        also: what happens with it, in the same transaction.

    Raises:
        UsageError: the password will not do; the link still works.
        CredentialRejected: the link has been used or has expired, or the password was changed since.
    """
    encoded = _checked(link.person, chosen)
    with transaction.atomic():
        link_codes.use_up(link, now)
        _store(link.person, encoded, chosen, now)
        if link.email and link.email == link.person.email:
            Person.objects.filter(pk=link.person_id, email_verified_at=None).update(email_verified_at=now)
        record(link.person, "person:reset_password", now, mailed=bool(link.email))
        also()


def take_address(link: LinkCode, now: datetime) -> str:
    """Use a link up for the address it was mailed to, and return the address before.

    Raises:
        CredentialRejected: the link has been used or has expired, or the address belongs to another account.
    """
    person, before = link.person, link.person.email
    try:
        with transaction.atomic():
            link_codes.use_up(link, now)
            same = Person.objects.filter(pk=person.pk, email=before)
            if same.update(email=link.email, email_verified_at=now) != 1:
                raise CredentialRejected("Your address was changed since.", hint="Ask for a new link.")
            link_codes.void(person, now)
            for member in person.memberships.filter(deactivated_at=None):
                organizations.tell_address(member)
            record(person, "person:verify_email" if before == link.email else "person:change_email", now)
    except IntegrityError as error:
        raise CredentialRejected(
            "This address belongs to another account by now.", hint="Use another address."
        ) from error
    return before


def record(person: Person, action: str, now: datetime, *, by: str | None = None, **details: bool | str) -> None:
    """Write down what was done with a person's account, where they act; no address, since this is kept for ever."""
    audit.record(
        organization=_acts_in(person),
        actor=by or ids.dump("person", person.pk),
        action=action,
        target=ids.dump("person", person.pk),
        at=now,
        details=dict(details),
    )


def _acts_in(person: Person) -> Organization | None:
    member = organizations.membership_of(person)
    return None if member is None else member.organization


def _checked(person: Person, chosen: NewPassword) -> str:
    """Return the hash of a password that will do; it takes long, so no transaction waits for it."""
    names = person.memberships.values_list("organization__name", flat=True)
    passwords.check(chosen.text, email=person.email, organizations=names, field="New password")
    return make_password(chosen.text)


def _store(person: Person, encoded: str, chosen: NewPassword, now: datetime) -> None:
    """Store the hash by compare-and-swap: what was decided about the old one holds for no other."""
    if Person.objects.filter(pk=person.pk, password=person.password).update(password=encoded) != 1:
        raise CredentialRejected("The password was changed at the same time.", hint="Start again.")
    person.password = encoded
    link_codes.void(person, now)
    browser_sessions.forget(person, chosen.keep)
