"""The browsers' sessions of people who came in through a connection: what they say of it, and their end."""

from typing import Final

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db.models import QuerySet

from keystead.server.identity import browser_sessions
from keystead.server.identity.models import Person

CONNECTION: Final = "keystead_sso"
"""In the session of whoever came in this way: through which connection."""
PROVED: Final = "keystead_sso_proved_at"
"""In the same session: when they proved who they are, in Unix seconds."""


def end_sessions(people: QuerySet[Person]) -> None:
    """End every session of those who have no password, and so came through a connection.

    A session carries a hash of the stored password, and Django compares it at each request. Without a password there is
    a random word in its place; another word ends the sessions, also one that is
    being written, and changes nothing else. Who has a password can sign in
    without the connection anyway.
    """
    for person in people.filter(password__startswith=UNUSABLE_PASSWORD_PREFIX):
        person.set_unusable_password()
        person.save(update_fields=["password"])
        browser_sessions.forget(person)
