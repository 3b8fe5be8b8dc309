"""Every error Keystead raises on purpose.

Three questions decide an error's class: what happened, *whose move it is*, and how the process should exit::

    KeysteadError                        1   something went wrong; the message says what
    ├── UsageError                       2   the command line is off
    │   └── Cancelled                    2   the person stopped it
    ├── SignInRequired                   4   no usable credential
    │   ├── NoCredential                 4   nothing was found anywhere
    │   ├── CredentialExpired            4   found, but past its time and not renewable
    │   └── CredentialRejected           4   found, sent, and refused by the other side
    ├── TemporaryFailure                75   try again later, nothing is lost
    │   ├── ServerUnreachable           75   no answer from the address
    │   ├── ServerFailure               75   an answer, but a 5xx or something that is not the protocol
    │   ├── RateLimited                 75   asked to wait; carries how long
    │   └── StoreBusy                   75   another process holds the lock longer than the bound
    ├── PolicyDenied                    77   an administrator's rule, or the legal wall, says no
    └── ConfigurationError              78   a setting, file or variable must change first
        ├── MalformedSecret             78   a secret has a character that cannot be sent
        ├── UnreadableFile              78   a file is missing, unreadable, too open, or not what it should be
        ├── HelperFailed                78   apiKeyHelper gave no usable key
        ├── StoreUnavailable            78   the credential store cannot be read or written
        ├── CloudNotReady               78   a cloud's own credential is missing, has ended or is refused
        ├── UnsupportedCredential       78   found, but this build cannot use it yet
        └── ExpectationFailed           78   another account would pay than the declared one

Exit codes follow ``sysexits.h`` where it has one (75 EX_TEMPFAIL, 77 EX_NOPERM, 78 EX_CONFIG).
"""

from typing import ClassVar, Literal

Move = Literal["you", "administrator", "operator", "wait"]
"""Whose turn it is: the person at the terminal, the organization's administrator, whoever runs the server, or time."""


class KeysteadError(Exception):
    """The root of every expected failure.

    Args:
        message: one sentence, what happened, naming the thing. Never contains a secret.
        hint: one sentence, the fix. Shown on a line of its own.
        move: whose turn it is; the class has a default.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    default_move: ClassVar[Move] = "you"

    def __init__(self, message: str, *, hint: str | None = None, move: Move | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.move: Move = move or self.default_move

    def to_json(self) -> dict[str, str | int | None]:
        """Return the shape of ``error`` in every ``--json`` output."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "move": self.move,
            "exit_code": self.exit_code,
        }


class UsageError(KeysteadError):
    """What was given is off: an unknown option, two that exclude each other, a missing argument, a field of a form.

    Args:
        message: and the two below, as of every failure.
        field: the one that it is about, by the name the domain has for it; None where it is about several or none.
    """

    code = "usage"
    exit_code = 2

    def __init__(
        self, message: str, *, hint: str | None = None, move: Move | None = None, field: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, move=move)
        self.field = field


class Cancelled(UsageError):
    """The person stopped it (Ctrl-C, or "deny" on the approval page). What was stored before is untouched."""

    code = "cancelled"


class SignInRequired(KeysteadError):
    """No usable credential; signing in is the fix."""

    code = "sign_in_required"
    exit_code = 4


class NoCredential(SignInRequired):
    """Every source of the precedence table was asked and none had a credential."""

    code = "no_credential"


class CredentialExpired(SignInRequired):
    """A credential was found but is past its expiry and cannot be renewed."""

    code = "credential_expired"


class CredentialRejected(SignInRequired):
    """A credential was sent to its own server, which refused it (HTTP 401, or RFC 6749 ``invalid_grant``)."""

    code = "credential_rejected"


class TemporaryFailure(KeysteadError):
    """It may work later; nothing was lost.

    Args:
        retry_after: seconds until the next try makes sense, when that is known.
    """

    code = "temporary"
    exit_code = 75
    default_move: ClassVar[Move] = "wait"

    def __init__(
        self, message: str, *, hint: str | None = None, move: Move | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint, move=move)
        self.retry_after = retry_after


class ServerUnreachable(TemporaryFailure):
    """No answer: refused, timed out, no such name, or TLS did not verify."""

    code = "server_unreachable"
    default_move: ClassVar[Move] = "operator"


class ServerFailure(TemporaryFailure):
    """The server answered with a 5xx, or with something that is not the protocol (a captive portal's page)."""

    code = "server_failure"
    default_move: ClassVar[Move] = "operator"


class RateLimited(TemporaryFailure):
    """The server asked to wait."""

    code = "rate_limited"


class StoreBusy(TemporaryFailure):
    """Another process held the credential's lock for longer than the bound."""

    code = "store_busy"


class PolicyDenied(KeysteadError):
    """A rule says no. The message names the rule and where it comes from; the hint, the lawful alternative."""

    code = "policy_denied"
    exit_code = 77
    default_move: ClassVar[Move] = "administrator"


class ConfigurationError(KeysteadError):
    """A setting, file or variable must change before this can work."""

    code = "configuration"
    exit_code = 78


class MalformedSecret(ConfigurationError):
    """A secret contains something that cannot be sent. The message names position and class, never the value."""

    code = "malformed_secret"


class UnreadableFile(ConfigurationError):
    """A file is missing, unreadable, readable by others, or not in its format."""

    code = "unreadable_file"


class HelperFailed(ConfigurationError):
    """``apiKeyHelper`` did not print one usable key."""

    code = "helper_failed"


class StoreUnavailable(ConfigurationError):
    """The credential store cannot be read or written."""

    code = "store_unavailable"


class CloudNotReady(ConfigurationError):
    """A cloud is switched on, and its own credential chain has nothing that it accepts."""

    code = "cloud_not_ready"


class UnsupportedCredential(ConfigurationError):
    """The winning credential is of a kind that this command cannot use."""

    code = "unsupported_credential"


class ExpectationFailed(ConfigurationError):
    """Another account, organization, provider or billing class would pay than the declared one."""

    code = "expectation_failed"
