"""One mail, sent while somebody waits for it, to see whether mail works and where it stops."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from keystead.errors import KeysteadError, ServerUnreachable, UnreadableFile, UsageError
from keystead.server.mail.operations import Letter, send
from keystead.server.mail.routes import Outbox, Route, described, route
from keystead.server.mail.smtp import Undelivered
from keystead.server.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trial.

    Attributes:
        to: the address.
        route: where mail goes, in words.
        worked: the steps that worked, in order.
        failed: the step that did not, or None.
        error: why; None when the mail was taken.
    """

    to: str
    route: str
    worked: tuple[str, ...]
    failed: str | None
    error: KeysteadError | None

    def to_json(self) -> dict[str, Any]:
        """Return the shape of ``keystead server mail-test --json``."""
        return {
            "to": self.to,
            "route": self.route,
            "sent": self.error is None,
            "worked": list(self.worked),
            "failed": self.failed,
            "error": None if self.error is None else self.error.to_json(),
        }


def run(address: str, server: ServerSettings, now: datetime) -> Outcome:
    """Send a mail to ``address`` and return what happened.

    Raises:
        ConfigurationError: a mail setting is wrong.
        UsageError: ``address`` is not one.
    """
    try:
        validate_email(address)
    except ValidationError as error:
        raise UsageError("ADDRESS is not an e-mail address.", hint="It looks like ada@example.com.") from error
    chosen, worked = route(server), list[str]()
    failed, fault = _send(address, server, now, worked)
    return Outcome(address, _line(chosen, server), tuple(worked), failed, fault)


def _send(
    address: str, server: ServerSettings, now: datetime, worked: list[str]
) -> tuple[str | None, KeysteadError | None]:
    text = f"This is a test. Mail from the Keystead server at {server.base_url} reaches you.\n"
    try:
        send(Letter(address, "Keystead: mail works", text), server, now, worked.append)
    except Undelivered as fault:
        return fault.step, ServerUnreachable(fault.message, hint=fault.hint)
    except UnicodeError:
        return "address", UsageError("The address has characters that mail servers do not take.", hint="Use another.")
    except OSError as error:
        return "outbox", UnreadableFile(
            f"The outbox in {server.data_dir} cannot be written: {error.strerror}.",
            hint="Correct the directory's owner and mode.",
            move="operator",
        )
    return None, None


def _line(chosen: Route, server: ServerSettings) -> str:
    return "outbox" if isinstance(chosen, Outbox) else described(chosen, server)
