"""Handing one message to a mail server, step by step, so that a failure can say at which step it was.

The server's certificate is always checked, against the authorities this machine trusts (``SSL_CERT_FILE`` adds one).
STARTTLS is not a wish: a server that does not offer it gets no password and no message (RFC 8314 section 4.1).
"""

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from keystead.server.mail.routes import Security, Server

PATIENCE: Final = 20
"""Seconds that each step may take."""

_TRANSIENT: Final = range(400, 500)
"""The server asks to try again later (RFC 5321 section 4.2.1)."""

Step = Callable[[str], None]


class Undelivered(Exception):
    """A message that a mail server did not take.

    Args:
        step: at which step: connect, tls, starttls, greeting, sign in, sender, recipient or message.
        message: one sentence for whoever runs the server.
        hint: one sentence, the fix.
        may_pass: trying again later may help.
    """

    def __init__(self, step: str, message: str, *, hint: str, may_pass: bool) -> None:
        super().__init__(message)
        self.step = step
        self.message = message
        self.hint = hint
        self.may_pass = may_pass


def deliver(server: Server, sender: str, recipient: str, content: bytes, done: Step = lambda _: None) -> None:
    """Send ``content`` to one recipient.

    Args:
        server: whom to hand it to.
        sender: the address for ``MAIL FROM``.
        recipient: the address for ``RCPT TO``.
        content: the message, with CRLF line ends.
        done: told the name of each step that worked.

    Raises:
        Undelivered: a step failed; the message says which, and what the server answered.
    """
    with _connected(server, sender.rpartition("@")[2], done) as session:
        with _step("sender", server):
            _expect(session.mail(sender))
        done("sender")
        with _step("recipient", server):
            _expect(session.rcpt(recipient))
        done("recipient")
        with _step("message", server):
            _expect(session.data(content))
        done("message")


@contextmanager
def _connected(server: Server, our_name: str, done: Step) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    with _step("tls" if server.security is Security.TLS else "connect", server):
        session = _open(server, our_name, context)
    done("connect")
    try:
        if server.security is Security.STARTTLS:
            with _step("starttls", server):
                _expect(session.ehlo())
                session.starttls(context=context)
            done("starttls")
        with _step("greeting", server):
            _expect(session.ehlo())
        if server.password is not None:
            with _step("sign in", server):
                session.login(server.user, server.password.reveal())
            done("sign in")
        yield session
    finally:
        with suppress(smtplib.SMTPException, OSError):
            session.quit()
        session.close()


def _open(server: Server, our_name: str, context: ssl.SSLContext) -> smtplib.SMTP:
    """Connect, and say ``our_name`` where the library would look this machine's name up."""
    if server.security is Security.TLS:
        return smtplib.SMTP_SSL(server.host, server.port, our_name, timeout=PATIENCE, context=context)
    return smtplib.SMTP(server.host, server.port, our_name, timeout=PATIENCE)


def _expect(answer: tuple[int, bytes]) -> None:
    code, text = answer
    if not 200 <= code < 300:
        raise smtplib.SMTPResponseException(code, text)


@contextmanager
def _step(name: str, server: Server) -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise Undelivered(
            name,
            f"The mail server {server.host}:{server.port} refused at the step “{name}”: {error.smtp_code} "
            f"{_shown(error.smtp_error)}",
            hint=_HINTS[name],
            may_pass=error.smtp_code in _TRANSIENT and name != "sign in",
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(
            name,
            f"The mail server {server.host}:{server.port} failed at the step “{name}”: {_reason(error)}.",
            hint=_HINTS[name],
            may_pass=not isinstance(error, ssl.SSLCertVerificationError | smtplib.SMTPNotSupportedError),
        ) from error


_HINTS: Final = {
    "connect": "Check the host and port in KEYSTEAD_SERVER_MAIL_URL, and that this machine may reach them.",
    "tls": "Check the host and port in KEYSTEAD_SERVER_MAIL_URL and the server's certificate; a private authority is "
    "named in SSL_CERT_FILE. A port for STARTTLS takes submission:// instead of smtps://.",
    "starttls": "Check the server's certificate and that it offers STARTTLS; a private authority is named in "
    "SSL_CERT_FILE. A port that speaks TLS from the beginning takes smtps://.",
    "greeting": "Check that the host and port in KEYSTEAD_SERVER_MAIL_URL are a mail server's.",
    "sign in": "Check the user in KEYSTEAD_SERVER_MAIL_URL and KEYSTEAD_SERVER_MAIL_PASSWORD.",
    "sender": "The mail server must let its user send as KEYSTEAD_SERVER_MAIL_FROM.",
    "recipient": "Check the address, and that the mail server relays for its user.",
    "message": "The mail server did not take the message itself; its log says why.",
}


def _shown(answer: bytes | str) -> str:
    """Return what the server answered, on one line and not long; it is text of somebody else."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    return "".join(one if one.isprintable() else " " for one in text)[:200].strip()


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case smtplib.SMTPNotSupportedError():
            return "it does not offer what is needed"
        case TimeoutError():
            return f"no answer within {PATIENCE} seconds"
        case socket.gaierror():
            return "the name has no address"
        case smtplib.SMTPServerDisconnected():
            return "it closed the connection"
        case OSError():
            return error.strerror or type(error).__name__
        case _:
            return type(error).__name__
