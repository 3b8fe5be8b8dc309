"""Run another program for what it prints: no input, a deadline, and nothing of it left afterwards.

It runs in a session of its own. Whatever it starts dies with it at the deadline; a daemon that keeps the output
open delays nothing.
"""

import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from keystead.clock import Clock

SHELL: Final = ("/bin/sh", "-c")
PATIENCE: Final = 10.0
"""Seconds after which, and after each of which, the caller is told that the program still runs."""
_TICK: Final = 0.05
_SHOWN: Final = 300
# Long runs of token characters: a program's error text often contains the key it complains about.
_TOKENS: Final = re.compile(r"[A-Za-z0-9_\-.+/=~]{16,}")


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a program; what it printed is hidden in ``repr``.

    Attributes:
        code: its exit code; None when it was stopped, at the deadline or because it printed too much.
        left: whether something it had started was still there when it had ended.
    """

    code: int | None
    output: bytes = field(repr=False)
    errors: bytes = field(repr=False)
    left: bool = False

    @property
    def said(self) -> str:
        """The end of its error output for a message, as a sentence with a space before it; empty when silent."""
        text = redacted(self.errors.decode("utf-8", "replace"), self.output.decode("utf-8", "replace").strip())
        return f" It said: {text}" if text else ""


class _Watch:
    """The time a program has, and when to say that it still runs."""

    def __init__(self, clock: Clock, deadline: float, notice: Callable[[float], None] | None) -> None:
        self._clock = clock
        self._start = clock.monotonic()
        self._deadline = deadline
        self._notice = notice
        self._next = PATIENCE

    def over(self) -> bool:
        """Whether the deadline has passed; gives notice when it is due."""
        elapsed = self._clock.monotonic() - self._start
        if self._notice is not None and self._next <= elapsed < self._deadline:
            self._notice(elapsed)
            self._next = elapsed + PATIENCE
        return elapsed >= self._deadline

    def rest(self) -> float:
        """Return the seconds until :meth:`over` should be asked again."""
        due = self._deadline if self._notice is None else min(self._deadline, self._next)
        return max(0.0, due - (self._clock.monotonic() - self._start))


def run(
    arguments: Sequence[str],
    cwd: Path,
    variables: Mapping[str, str],
    clock: Clock,
    *,
    deadline: float,
    most: int,
    notice: Callable[[float], None] | None = None,
    line: Callable[[str], None] | None = None,
) -> Finished:
    """Run a program to its end, or stop it with everything it started.

    Args:
        arguments: the program and its arguments; no shell unless they name one.
        cwd: where it runs.
        variables: its whole environment.
        clock: measures the deadline.
        deadline: seconds.
        most: bytes of output after which it is stopped.
        notice: told the seconds so far, every :data:`PATIENCE` seconds that it takes.
        line: told each whole line of output and error output as it comes; without control characters.

    Raises:
        OSError: it could not be started.
        ValueError: an argument or a variable contains a null byte.
    """
    watch = _Watch(clock, deadline, notice)
    process = subprocess.Popen(
        tuple(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=dict(variables),
        start_new_session=True,
    )
    with process:
        try:
            output, errors = _collect(process, watch, most, line)
            code = process.poll()
        finally:
            left = _kill_tree(process)
    return Finished(code, output, errors, left and code is not None)


def redacted(text: str, printed: str = "") -> str:
    """Return the end of ``text`` on one line, without control characters, ``printed``, or anything like a key."""
    if printed:
        text = text.replace(printed, "[redacted]")
    text = _TOKENS.sub("[redacted]", text)
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[-_SHOWN:]


def _collect(
    process: "subprocess.Popen[bytes]", watch: _Watch, most: int, line: Callable[[str], None] | None
) -> tuple[bytes, bytes]:
    """Read both streams until the command has exited, has printed too much, or its time is over."""
    assert process.stdout is not None
    assert process.stderr is not None
    streams: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    told = dict.fromkeys(streams, 0)
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        exited = False
        while not exited and not watch.over() and len(streams[process.stdout]) <= most:
            exited = process.poll() is not None  # asked before reading, so that nothing printed is missed
            for key, _ in selector.select(0 if exited else _TICK):
                if not _drain(key.fd, streams[key.fileobj], most):  # type: ignore[index]
                    selector.unregister(key.fileobj)
                if line is not None:
                    told[key.fileobj] = _tell(line, streams[key.fileobj], told[key.fileobj])  # type: ignore[index]
            if not selector.get_map() and not exited:
                exited = _wait(process, watch.rest())
    return bytes(streams[process.stdout]), bytes(streams[process.stderr])


def _drain(descriptor: int, buffer: bytearray, most: int) -> bool:
    """Read what is there, keeping a bounded part; tell whether more may come."""
    with suppress(BlockingIOError):
        while chunk := os.read(descriptor, 65536):
            buffer += chunk[: max(0, 2 * most - len(buffer))]
            if len(buffer) > most:
                return True
        return False
    return True


def _tell(line: Callable[[str], None], buffer: bytearray, start: int) -> int:
    """Pass on the whole lines after ``start``; return where the first line that is not yet whole begins."""
    end = max(start, buffer.rfind(b"\n") + 1)
    for one in buffer[start:end].decode("utf-8", "replace").splitlines():
        line("".join(letter if letter.isprintable() else " " for letter in one))
    return end


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, seconds))
    return process.returncode is not None


def _kill_tree(process: "subprocess.Popen[bytes]") -> bool:
    """Kill the command's process group, also when the command itself has ended; tell whether it left children."""
    if sys.platform == "win32":
        process.kill()
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
        return True
    return False
