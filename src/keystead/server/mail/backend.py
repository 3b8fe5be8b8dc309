"""The same way out for mail that Django or a library of its sends."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.core.mail.backends.base import BaseEmailBackend

from keystead.server.mail.operations import Letter, post

if TYPE_CHECKING:
    from django.core.mail import EmailMessage


class Backend(BaseEmailBackend):
    """Posts each message, as plain text, to each of its recipients."""

    def send_messages(self, email_messages: "Iterable[EmailMessage]") -> int:
        """Return how many were taken; they are sent after the answer."""
        count = 0
        for one in email_messages:
            recipients: Sequence[str] = one.recipients()
            for address in recipients:
                post(Letter(address, str(one.subject), str(one.body)))
                count += 1
        return count
