"""Run ``apiKeyHelper``: a command of the person's own that prints one key (S-06, R-11).

The command runs in a session of its own with no input. Whatever it starts dies with it at the deadline; a
daemon that keeps the output open delays nothing. Its output is a key or it is nothing: no banner, no second
line, no best effort.
"""

import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from keystead.clock import Clock
from keystead.credentials.lint import LONGEST, clean
from keystead.errors import HelperFailed, MalformedSecret
from keystead.secret import Secret

DEADLINE: Final = 60.0
"""Seconds a helper may take."""
_MOST_OUTPUT: Final = LONGEST + 1024
_SHOWN: Final = 300
_TICK: Final = 0.05
# Long runs of token characters: a helper's error text often contains the key it complains about.
_TOKENS: Final = re.compile(r"[A-Za-z0-9_\-.+/=~]{16,}")
_HINT: Final = "Run the command yourself: it must exit with 0 and print the key alone, on one line."


def run(
    command: str, name: str, cwd: Path, variables: Mapping[str, str], clock: Clock, deadline: float = DEADLINE
) -> Secret:
    """Run ``command`` with ``/bin/sh -c`` and return the one key it prints.

    Args:
        command: as configured.
        name: what to call it in an error, such as ``apiKeyHelper (~/.claude/settings.json:3)``.
        cwd: the project directory.
        variables: the environment of the command.
        clock: measures the deadline.
        deadline: seconds after which it and everything it started is killed.

    Raises:
        HelperFailed: it could not run, took too long, failed, or printed something else than one key. The message
            has its exit code and its redacted error output, never its output.
    """
    process = _start(command, name, cwd, variables)
    with process:
        try:
            output, errors = _collect(process, clock, clock.monotonic() + deadline)
            code = process.poll()
        finally:
            _kill_tree(process)
    if len(output) > _MOST_OUTPUT:
        raise HelperFailed(f"{name} printed more than {LONGEST} characters.", hint=_HINT)
    said = _said(errors, output)
    if code is None:
        raise HelperFailed(f"{name} took longer than {deadline:g} s and was stopped.{said}", hint=_HINT)
    if code != 0:
        raise HelperFailed(f"{name} failed with exit code {code}.{said}", hint=_HINT)
    return _one_key(output, name, said)


def _start(command: str, name: str, cwd: Path, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    if sys.platform == "win32":
        raise HelperFailed(f"{name} cannot run on Windows yet.", hint="Set ANTHROPIC_API_KEY instead.")
    try:
        return subprocess.Popen(
            ("/bin/sh", "-c", command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=dict(variables),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte in the command
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise HelperFailed(f"{name} could not be started: {reason.lower()}.", hint=_HINT) from None


def _collect(process: "subprocess.Popen[bytes]", clock: Clock, end: float) -> tuple[bytes, bytes]:
    """Read both streams until the command has exited, has printed too much, or its time is over."""
    assert process.stdout is not None
    assert process.stderr is not None
    streams: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        exited = False
        while not exited and clock.monotonic() < end and len(streams[process.stdout]) <= _MOST_OUTPUT:
            exited = process.poll() is not None  # asked before reading, so that nothing printed is missed
            for key, _ in selector.select(0 if exited else _TICK):
                if not _drain(key.fd, streams[key.fileobj]):  # type: ignore[index]
                    selector.unregister(key.fileobj)
            if not selector.get_map() and not exited:
                exited = _wait(process, end - clock.monotonic())
    return bytes(streams[process.stdout]), bytes(streams[process.stderr])


def _drain(descriptor: int, buffer: bytearray) -> bool:
    """Read what is there, keeping a bounded part; tell whether more may come."""
    with suppress(BlockingIOError):
        while chunk := os.read(descriptor, 65536):
            buffer += chunk[: max(0, 2 * _MOST_OUTPUT - len(buffer))]
            if len(buffer) > _MOST_OUTPUT:
                return True
        return False
    return True


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, seconds))
    return process.returncode is not None


def _kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Kill the command's process group, also when the command itself has ended: it may have left children."""
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _one_key(output: bytes, name: str, said: str) -> Secret:
    try:
        text = output.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise HelperFailed(
            f"{name} printed something that is not text at byte {error.start + 1}.", hint=_HINT
        ) from None
    if not text:
        raise HelperFailed(f"{name} printed nothing.{said}", hint=_HINT)
    try:
        return clean(text, f"The output of {name}")
    except MalformedSecret as error:
        raise HelperFailed(error.message, hint=_HINT) from None


def _said(errors: bytes, output: bytes) -> str:
    """Return the end of the error output for a message: one line, no control characters, nothing like a key."""
    text = errors.decode("utf-8", "replace")
    printed = output.decode("utf-8", "replace").strip()
    if printed:
        text = text.replace(printed, "[redacted]")
    text = _TOKENS.sub("[redacted]", text)
    text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return f" It said: {text[-_SHOWN:]}" if text else ""
