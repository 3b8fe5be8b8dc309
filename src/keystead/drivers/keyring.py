"""Ask the operating system's keyring, in a process of its own that can be killed (R-08)."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from keystead.errors import StoreUnavailable

SERVICE: Final = "keystead"
DEADLINE: Final = 4.0
"""Seconds for one question to the keyring."""
DEADLINE_VARIABLE: Final = "KEYSTEAD_KEYRING_TIMEOUT"

_ELSEWHERE: Final = "Or keep sign-ins elsewhere: keystead store use file."
_FAULTS: Final = {
    "not_installed": ("the keyring extra is not installed", "Install it with: pip install 'keystead[keyring]'."),
    "no_keyring": ("this session has no keyring", "Start it in your desktop session."),
    "locked": ("it is locked", "Unlock it (on macOS: security unlock-keychain) and try again."),
}
_UNSEEN: Final = ("ANTHROPIC_", "CLAUDE_", "KEYSTEAD_")
"""Variables that are nobody's business there."""


class KeyringProcess:
    """Asks the keyring, one short-lived process for each call.

    Args:
        variables: of the process environment; those that may hold credentials are left out.
        deadline: seconds after which the process is killed.
    """

    def __init__(self, variables: Mapping[str, str], deadline: float = DEADLINE) -> None:
        self._variables = {name: value for name, value in variables.items() if not name.startswith(_UNSEEN)}
        self._deadline = deadline

    def __call__(self, operations: Sequence[Sequence[str]]) -> Sequence[str | None]:
        """Return what each operation answers: a value for ``get``, None where there is none.

        Raises:
            StoreUnavailable: it is locked, missing, broken or did not answer in time; that is never "no value".
        """
        request = json.dumps({"service": SERVICE, "operations": operations}).encode()
        reply = self._exchange(request)
        if "error" in reply:
            what, fix = _FAULTS.get(
                reply["error"], (f"it failed ({reply.get('kind')})", "Look at the keyring's own application.")
            )
            raise StoreUnavailable(f"The system keyring cannot be used: {what}.", hint=f"{fix} {_ELSEWHERE}")
        answers: list[str | None] = reply["answers"]
        return answers

    def _exchange(self, request: bytes) -> dict[str, Any]:
        # -P: a module of the project directory must not be able to take our place and receive the secret
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "keystead.drivers.keyring_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._variables,
            start_new_session=True,
        )
        with process:
            try:
                output, _ = process.communicate(request, timeout=self._deadline)
                reply = json.loads(output)
            except subprocess.TimeoutExpired:
                raise StoreUnavailable(
                    f"The system keyring did not answer within {self._deadline:g} s.",
                    hint=f"Unlock it, or allow it more time with {DEADLINE_VARIABLE}=30. {_ELSEWHERE}",
                ) from None
            except ValueError:
                raise StoreUnavailable(
                    f"The system keyring's process ended without an answer (exit code {process.returncode}).",
                    hint=f"Look at the keyring's own application. {_ELSEWHERE}",
                ) from None
            finally:
                _kill(process)
        if not isinstance(reply, dict):
            raise StoreUnavailable("The system keyring's process answered something else.", hint=_ELSEWHERE)
        return reply


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the process and all it started; what holds its output open must not hold us."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
