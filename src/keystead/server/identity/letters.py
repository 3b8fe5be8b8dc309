"""Letters to people who are no members yet."""

from typing import cast

from django.conf import settings

from keystead.server.mail.operations import letter, post
from keystead.server.mail.routes import Outbox, route
from keystead.server.settings import ServerSettings


def are_sent() -> bool:
    """Return whether mail reaches anybody here: without a mail server it is only kept as files.

    Raises:
        ConfigurationError: a mail setting is wrong.
    """
    return not isinstance(route(cast("ServerSettings", getattr(settings, "KEYSTEAD"))), Outbox)  # noqa: B009


def invite(email: str, link: str, days: int) -> None:
    """Send the link of an invitation once the transaction under way is committed.

    The letter names nobody and no organization: both are what strangers typed, and could be read as ours.

    Args:
        email: whom it is for.
        link: with the code in its fragment.
        days: for how long it works.
    """
    post(letter(email, "invitation", link=link, days=days))
