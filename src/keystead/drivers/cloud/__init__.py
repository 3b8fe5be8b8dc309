"""Ask a cloud's own SDK which credential it finds, for a token, or for a signature, in a process of its own.

The SDKs read the process environment, start programs that may prompt, and wait for metadata services that do not
answer. In a process of its own a chain gets exactly the variables that count here, no input, and a deadline at
which it dies with everything it started (R-33). It also keeps the weight of the SDKs out of every other start.
"""

import json
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from keystead.clock import Clock
from keystead.credentials.cloud import CloudIdentity, CloudToken, Unsigned, parse, parse_token
from keystead.drivers import command
from keystead.environment import Environment
from keystead.errors import CloudNotReady, KeysteadError, ServerUnreachable, UnsupportedCredential
from keystead.secret import Secret
from keystead.wire.fields import Fields, Malformed

_Answer = TypeVar("_Answer")

DEADLINE: Final = 20.0
"""Seconds for the whole chain and its proof; a sign-in that needs a person belongs into the refresh commands."""
STEP: Final = 4.0
"""Seconds for one request within it."""
CHAINS: Final = MappingProxyType(
    {"bedrock": "aws", "aws": "aws", "mantle": "aws", "vertex": "google", "foundry": "entra"}
)
"""Which module here asks for which cloud."""
EXTRAS: Final = MappingProxyType({"aws": "bedrock", "google": "vertex", "entra": "foundry"})
"""Which extra of this distribution brings the SDK of a module."""

_IMPATIENT: Final = {
    # Outside a cloud nothing answers at the metadata address: one try of one second each.
    "AWS_METADATA_SERVICE_TIMEOUT": "1",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "1",
    "GCE_METADATA_TIMEOUT": "1",
    "GCE_METADATA_DETECT_RETRIES": "1",
}
_LONGEST_ANSWER: Final = 65_536
_ERRORS: Final[Mapping[str, type[KeysteadError]]] = {
    error.code: error for error in (CloudNotReady, ServerUnreachable, UnsupportedCredential)
}


def obtain(
    cloud: str, environment: Environment, variables: Mapping[str, str], clock: Clock, deadline: float = DEADLINE
) -> CloudIdentity:
    """Return who ``cloud`` takes this machine for.

    Args:
        cloud: a key of :data:`CHAINS`.
        environment: whose home and working directory count.
        variables: the variables that count, those of trusted settings included.
        clock: measures the deadline.
        deadline: seconds after which the chain is stopped with everything it started.

    Raises:
        CloudNotReady: there is no credential, it has ended, or the cloud refuses it.
        ServerUnreachable: the cloud could not be asked.
        UnsupportedCredential: its SDK is not installed, or this platform has no way to ask yet.
    """
    return _answered(parse, "identity", (), cloud, environment, variables, clock, deadline)


def fetch(
    cloud: str, environment: Environment, variables: Mapping[str, str], clock: Clock, deadline: float = DEADLINE
) -> CloudToken:
    """Return a bearer token for ``cloud``, and whose it is; see :func:`obtain` for arguments and errors."""
    return _answered(parse_token, "token", (), cloud, environment, variables, clock, deadline)


def sign(
    cloud: str,
    environment: Environment,
    variables: Mapping[str, str],
    clock: Clock,
    unsigned: Unsigned,
    deadline: float = DEADLINE,
) -> Mapping[str, Secret]:
    """Return the headers that sign one request; see :func:`obtain` for the other arguments and the errors."""
    arguments = (json.dumps(unsigned.to_json()),)
    headers = _answered(Fields.all_texts, "headers", arguments, cloud, environment, variables, clock, deadline)
    return {name.lower(): Secret(value) for name, value in headers.items()}


def _answered(
    read: Callable[[Fields], _Answer],
    wanted: str,
    arguments: tuple[str, ...],
    cloud: str,
    environment: Environment,
    variables: Mapping[str, str],
    clock: Clock,
    deadline: float,
) -> _Answer:
    finished = _finish((cloud, wanted, *arguments), environment, variables, clock, deadline)
    if finished.code is None:
        raise CloudNotReady(
            f"The credential chain of {cloud} took longer than {deadline:g} s and was stopped.",
            hint="Look for a credential_process or a login that waits for input, and run it yourself once.",
        )
    try:
        return read(_read(finished.output, wanted))
    except Malformed:
        raise CloudNotReady(
            f"The SDK of {cloud} stopped with exit code {finished.code}.{finished.said}",
            hint="Run `keystead status --verify` again; if it lasts, reinstall the SDK.",
        ) from None


def _finish(
    question: tuple[str, ...], environment: Environment, variables: Mapping[str, str], clock: Clock, deadline: float
) -> command.Finished:
    cloud = question[0]
    if sys.platform == "win32":
        raise UnsupportedCredential(
            f"The credentials of {cloud} cannot be checked on Windows yet.", hint="Check them with the cloud's own tool"
        )
    child = {"HOME": str(environment.home)} | _IMPATIENT | dict(variables)
    arguments = (sys.executable, "-P", "-m", __name__, *question)  # -P: nothing is imported from the project directory
    try:
        return command.run(arguments, environment.cwd, child, clock, deadline=deadline, most=_LONGEST_ANSWER)
    except (OSError, ValueError) as error:  # ValueError: a null byte in a variable of a settings file
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CloudNotReady(
            f"The credential chain of {cloud} could not be started: {reason.lower()}.",
            hint="Go to a directory that exists, and look for odd variables in the env block of your settings.",
        ) from None


def _read(output: bytes, wanted: str) -> Fields:
    """Read the child's last line; a program that a chain started may have written before it."""
    answer = Fields.parse(output.strip().rpartition(b"\n")[2], "answer of the SDK")
    if answer.has(wanted):
        return answer.object(wanted)
    error = answer.object("error")
    raised = _ERRORS.get(error.text("code"), CloudNotReady)
    raise raised(error.text("message"), hint=error.optional_text("hint"))
