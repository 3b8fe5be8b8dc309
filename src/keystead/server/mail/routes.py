"""Where mail goes: one setting read into one value. Pure."""

from dataclasses import dataclass
from email.utils import formataddr, parseaddr
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.settings import ServerSettings

_HINT: Final = (
    "It looks like submission://user@mail.example.com, smtps://user@mail.example.com:465, outbox or console; the "
    "password belongs in KEYSTEAD_SERVER_MAIL_PASSWORD."
)


class Security(StrEnum):
    """How the connection to the mail server is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Scheme:
    """What an address of a mail server means where it says nothing."""

    port: int
    security: Security


SCHEMES: Final = {
    "smtp": Scheme(25, Security.STARTTLS),
    "submission": Scheme(587, Security.STARTTLS),
    "smtps": Scheme(465, Security.TLS),
    "submissions": Scheme(465, Security.TLS),
}
"""RFC 6409 (submission) and RFC 8314 section 7.3 (submissions, which many call smtps)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server, and how one gets in."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Outbox:
    """Files in the data directory; nothing is sent."""


@dataclass(frozen=True, slots=True)
class Console:
    """The server's own terminal; nothing is sent."""


Route = Server | Outbox | Console


def route(settings: ServerSettings) -> Route:
    """Return where mail goes.

    Raises:
        ConfigurationError: a mail setting is wrong; no message quotes the password.
    """
    words: dict[str, Route] = {"": Outbox(), "outbox": Outbox(), "console": Console()}
    chosen = settings.mail_url.strip()
    if chosen.lower() in words:
        return words[chosen.lower()]
    try:
        parts = urlsplit(chosen)
        port = parts.port
    except ValueError as error:
        raise _wrong("is not an address") from error
    scheme = SCHEMES.get(parts.scheme.lower())
    if scheme is None or not parts.hostname or parts.path not in {"", "/"} or parts.fragment:
        raise _wrong("is neither the address of a mail server nor the word outbox or console")
    if parts.password is not None:
        raise _wrong("holds a password")
    found = Server(
        parts.hostname,
        port or scheme.port,
        _security(parts, scheme),
        unquote(parts.username or ""),
        settings.mail_password,
    )
    _check_password(found)
    sender(settings)
    return found


def _security(parts: SplitResult, scheme: Scheme) -> Security:
    """Return the scheme's protection; ``?security=none`` gives STARTTLS up for a relay on one's own network."""
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not given:
        return scheme.security
    if given == {"security": "none"} and scheme.security is Security.STARTTLS:
        return Security.NONE
    raise _wrong("has a query other than security=none, which only smtp and submission take")


def _check_password(server: Server) -> None:
    if server.user and server.password is None:
        raise _wrong("names a user, and KEYSTEAD_SERVER_MAIL_PASSWORD is not set")
    if server.password is not None and not server.user:
        raise _wrong("names no user, and KEYSTEAD_SERVER_MAIL_PASSWORD is set")
    if server.user and server.security is Security.NONE:
        raise _wrong("would send the password over a connection that anybody on the way can read")


def sender(settings: ServerSettings) -> str:
    """Return what stands in ``From``, such as ``Keystead <keystead@example.com>``.

    Raises:
        ConfigurationError: there is none although a mail server is set, or it is not an address.
    """
    given = settings.mail_from.strip()
    if not given and settings.mail_url.strip().lower() in {"", "outbox", "console"}:
        given = "keystead@localhost.invalid"
    name, address = parseaddr(given)
    try:
        validate_email(address)
    except ValidationError as error:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_MAIL_FROM is not an e-mail address." if given else "KEYSTEAD_SERVER_MAIL_FROM is not set.",
            hint="Set it to an address your mail server may send for, such as Keystead <keystead@example.com>.",
            move="operator",
        ) from error
    if any(not character.isprintable() for character in given):
        raise ConfigurationError(
            "KEYSTEAD_SERVER_MAIL_FROM has a character that cannot be printed.", hint="Correct it.", move="operator"
        )
    return formataddr((name or "Keystead", address))


def described(found: Route, settings: ServerSettings) -> str:
    """Return one line on where mail goes, for the person who starts the server."""
    match found:
        case Server(host, port, security):
            how = {"starttls": "STARTTLS", "tls": "TLS", "none": "no encryption"}[security]
            return f"{host}:{port} ({how}), from {sender(settings)}"
        case Console():
            return "printed here, and sent to nobody (mail_url = console)."
        case _:
            return (
                f"kept as files in {settings.data_dir / 'outbox'}, and sent to nobody.\n"
                "           Set KEYSTEAD_SERVER_MAIL_URL for a mail server."
            )


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"KEYSTEAD_SERVER_MAIL_URL {what}.", hint=_HINT, move="operator")
