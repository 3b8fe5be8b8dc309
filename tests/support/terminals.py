"""A process on a terminal of its own, which answers what a real terminal answers."""

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PATIENCE: Final = 20.0
PROGRAM: Final = """
import fcntl, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
from keystead.cli import main
main()
"""
"""Takes its standard input as controlling terminal first, so that Ctrl-C reaches it.

It also listens to Ctrl-C where the tests run in the background of a shell that lets such programs ignore it.
"""
_WHERE: Final = b"\x1b[6n"
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.|\r")


@dataclass
class Terminal:
    """The terminal; ``raw`` is every byte that was written on it."""

    process: "subprocess.Popen[bytes]"
    master: int
    raw: bytes = b""
    looked: int = 0
    """How much of the text was waited for already."""

    @property
    def seen(self) -> str:
        """What a person reads: without escape sequences, and on one line whatever the width."""
        return " ".join(_ESCAPES.sub("", self.raw.decode("utf-8", "replace")).split())

    def read_until(self, text: str) -> None:
        """Wait until ``text`` stands on the terminal, after what was waited for before."""
        end = time.monotonic() + PATIENCE  # a prompt that redraws itself is never silent for long
        while text not in self.seen[self.looked :]:
            assert time.monotonic() < end, f"{text!r} is not in {self.seen!r}"
            assert select.select([self.master], [], [], PATIENCE)[0], f"{text!r} is not in {self.seen!r}"
            assert self._read(), f"it ended without {text!r}: {self.seen!r}"
        self.looked = self.seen.index(text, self.looked) + len(text)

    def interrupt(self, text: str) -> None:
        """Press Ctrl-C until ``text`` stands on the terminal; before a line is being read, Python may miss one."""
        for _ in range(4):
            self.type("\x03")
            end = time.monotonic() + PATIENCE / 4
            while text not in self.seen[self.looked :] and time.monotonic() < end:
                if select.select([self.master], [], [], 0.1)[0]:
                    assert self._read(), f"it ended without {text!r}: {self.seen!r}"
            if text in self.seen[self.looked :]:
                break
        self.read_until(text)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def finish(self) -> int:
        """Read to the end and return the exit code."""
        ended = False
        while not ended:
            assert select.select([self.master], [], [], PATIENCE)[0], f"it does not end: {self.seen!r}"
            ended = not self._read()
        os.close(self.master)
        return self.process.wait(timeout=PATIENCE)

    def _read(self) -> bool:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux ends a terminal without readers with EIO
            return False
        self.raw += data
        for _ in range(data.count(_WHERE)):  # "where is the cursor?", asked before a prompt is drawn
            os.write(self.master, b"\x1b[1;1R")
        return bool(data)


def start(home: Path, *arguments: str, columns: int = 80, **variables: str) -> Terminal:
    """Run ``keystead`` on a new terminal."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=home,
        env={"HOME": str(home), "PATH": os.defpath, "TERM": "xterm", "LANG": "C.UTF-8", **variables},
    )  # fmt: skip
    os.close(slave)
    return Terminal(process, master)
