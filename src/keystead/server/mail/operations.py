"""Sending a letter: at once where somebody wants to know, and else after the answer, again when that may help."""

import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import partial
from secrets import token_hex
from typing import Final, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.template import Context
from django.template.loader import get_template

from keystead.clock import SYSTEM_CLOCK
from keystead.server.errands import ERRANDS
from keystead.server.mail import outbox, smtp
from keystead.server.mail.routes import Console, Route, Server, route, sender
from keystead.server.settings import ServerSettings

AGAIN: Final = (30.0, 300.0, 1800.0)
"""Seconds until the next try, while the mail server says that it may work later; links live for an hour."""

_LOG: Final = logging.getLogger("keystead.server.mail")


@dataclass(frozen=True, slots=True)
class Letter:
    """A plain-text mail to one person."""

    to: str
    subject: str
    text: str


def letter(to: str, template: str, **facts: object) -> Letter:
    """Return the letter ``mail/TEMPLATE.txt``: its first line is the subject, the rest the text.

    No letter carries what a stranger typed, such as a name: it could be read as ours.
    """
    server = _server()
    context = Context(
        {"base_url": server.base_url, "host": urlsplit(server.base_url).netloc, **facts}, autoescape=False
    )
    rendered = get_template(f"mail/{template}.txt").template.render(context)  # type: ignore[attr-defined]
    subject, _, text = rendered.strip().partition("\n")
    return Letter(to, subject.strip(), text.strip() + "\n")


def post(what: Letter) -> None:
    """Send it once the transaction under way is committed, after the answer; a failure is logged and hurts nobody."""
    transaction.on_commit(lambda: ERRANDS.later("Sending a mail", partial(_try, what, 0)))


def send(what: Letter, server: ServerSettings, now: datetime, done: smtp.Step = lambda _: None) -> None:
    """Send it now.

    Args:
        what: the letter.
        server: the settings, which say where to.
        now: the date it carries.
        done: told each step that worked.

    Raises:
        ConfigurationError: a mail setting is wrong.
        Undelivered: the mail server did not take it.
        OSError: the outbox cannot be written.
    """
    chosen, author = route(server), sender(server)
    name = token_hex(8)
    content = message(what, author, name, now, plainly=not isinstance(chosen, Server))
    _hand_over(chosen, author, what, content, name, server, now, done)


def _hand_over(
    chosen: Route,
    author: str,
    what: Letter,
    content: bytes,
    name: str,
    server: ServerSettings,
    now: datetime,
    done: smtp.Step,
) -> None:
    match chosen:
        case Server():
            smtp.deliver(chosen, _on_the_wire(parseaddr(author)[1]), _on_the_wire(what.to), content, done)
        case Console():
            sys.stdout.write(content.decode("utf-8", "replace").replace("\r\n", "\n") + "\n")
            sys.stdout.flush()
            done("console")
        case _:
            outbox.keep(server.data_dir, content, name, now)
            done("outbox")


def message(what: Letter, author: str, name: str, now: datetime, *, plainly: bool) -> bytes:
    """Return the letter as RFC 5322 has it.

    Args:
        what: the letter.
        author: for ``From``.
        name: makes ``Message-ID`` unique.
        now: for ``Date``.
        plainly: a person reads the bytes themselves, so they are not encoded.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = author
    mail["To"] = what.to
    mail["Subject"] = what.subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{name}@{parseaddr(author)[1].rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    other = "8bit" if plainly else "quoted-printable"
    mail.set_content(what.text, cte="7bit" if what.text.isascii() else other)
    return mail.as_bytes()


def _try(what: Letter, tries: int) -> None:
    """Send, and try again when that may help."""
    try:
        send(what, _server(), datetime.fromtimestamp(SYSTEM_CLOCK.now(), UTC))
    except smtp.Undelivered as error:
        if error.may_pass and tries < len(AGAIN):
            _LOG.warning("%s It is tried again in %g seconds.", error.message, AGAIN[tries])
            ERRANDS.later("Sending a mail", partial(_try, what, tries + 1), AGAIN[tries])
        else:
            _LOG.error("%s %s The mail is given up.", error.message, error.hint)
    except (OSError, UnicodeError) as error:
        _LOG.error("A mail could not be written: %s.", type(error).__name__)


def _on_the_wire(address: str) -> str:
    """Return the address with its domain in ASCII (RFC 5891), as SMTP without extensions takes it."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.encode('idna').decode('ascii')}"


def _server() -> ServerSettings:
    return cast("ServerSettings", getattr(settings, "KEYSTEAD"))  # noqa: B009 - unknown to the type checker's plugin
