"""What follows a question after its page has been answered: looking the account up, and the mail.

All of it happens here, so that the page takes as long for an address that is nobody's.
"""

from datetime import datetime
from functools import partial
from secrets import token_bytes
from typing import Final
from uuid import UUID

from django.conf import settings

from keystead.errors import UsageError
from keystead.server.accounts import standing
from keystead.server.errands import ERRANDS
from keystead.server.factors import operations as factors
from keystead.server.identity import accounts, link_codes
from keystead.server.identity.models import Person, Purpose
from keystead.server.mail.operations import letter, post

LINK: Final = "/account/link"


def link(code: str) -> str:
    """Return the link with the code in its fragment, at the server's own address whatever the request called it."""
    return f"{settings.KEYSTEAD.base_url}{LINK}#code={code}"


def ask_for_reset(email: str, now: datetime) -> None:
    """Leave it to be answered by mail."""
    ERRANDS.later("Answering who forgot a password", partial(answer_reset, email, now))


def answer_reset(email: str, now: datetime) -> None:
    """Mail a link to whoever has that address; those who sign in by single sign-on are told so; a stranger nothing."""
    person = accounts.find(email)
    if person is None or not person.is_active:
        return
    if standing.obstacle(person, standing.PASSWORD) is not None:
        post(letter(person.email, "reset_single_sign_on"))
        return
    code = link_codes.make(person, Purpose.RESET, person.email, now, token_bytes)
    accounts.record(person, "person:request_reset", now, by=accounts.SOMEBODY)
    post(letter(person.email, "reset", link=link(code)))


def forget_factors(email: str, now: datetime) -> bool:
    """Remove the second factors of somebody; whoever runs the server asks, on its machine.

    Raises:
        UsageError: nobody has that address.
    """
    person = accounts.find(email)
    if person is None:
        raise UsageError("No account has this address.", hint="Check EMAIL: one signs in with it.")
    return factors.forget(person, now)


def reset_link(email: str, now: datetime) -> str:
    """Return a link for somebody who cannot get one by mail; whoever runs the server asks, on its machine.

    Raises:
        UsageError: nobody active has that address.
        PolicyDenied: the person must sign in by single sign-on, so a password would not let them in.
    """
    person = accounts.find(email)
    if person is None or not person.is_active:
        raise UsageError("No active account has this address.", hint="Check EMAIL: one signs in with it.")
    standing.require(person, (standing.REQUIRED,))
    code = link_codes.make(person, Purpose.RESET, "", now, token_bytes)
    accounts.record(person, "person:make_reset_link", now, by=accounts.SOMEBODY, by_operator=True)
    return link(code)


def ask_for_address(person: Person, email: str, now: datetime) -> None:
    """Leave it to be answered by mail to the address that is to be verified."""
    ERRANDS.later("Verifying an address", partial(answer_address, person.pk, email, now))


def answer_address(person_id: UUID, email: str, now: datetime) -> None:
    """Mail a link, or tell the address that it has an account already."""
    person = Person.objects.filter(pk=person_id, is_active=True).first()
    if person is None:
        return
    other = accounts.find(email)
    if other is not None and other.pk != person.pk:
        post(letter(email, "address_taken"))
        return
    code = link_codes.make(person, Purpose.ADDRESS, email, now, token_bytes)
    accounts.record(person, "person:request_address", now)
    post(letter(email, "address_verify", link=link(code)))
