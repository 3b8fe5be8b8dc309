"""Documents that a test types: what stands after ``$`` is typed, the other lines of a ``console`` block must appear.

``…`` stands for anything, on a line of its own for any lines.
"""

import fcntl
import functools
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from people import PATIENCE
from ports import free_port, is_free

ROOT = Path(__file__).resolve().parents[2]
USUAL_PORT = 8420


@dataclass
class Step:
    """One command, and the lines the README shows below it."""

    command: str
    shown: list[str] = field(default_factory=list)


def blocks(text: str, language: str) -> list[str]:
    """The contents of all fences of ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(block: str) -> list[Step]:
    """A console block, taken apart."""
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:]))
        elif found:
            found[-1].shown.append(line)
    return found


def pattern(shown: list[str]) -> str:
    """What the shown lines allow, as a regular expression over lines that each end in a newline."""
    lines = []
    for line in shown:
        if line.strip() in {"…", "..."}:
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(".*".join(re.escape(part) for part in line.rstrip().split("…")) + r"\n")
    return "".join(lines)


def matches(shown: list[str], output: str) -> bool:
    """Whether ``output`` is what the README shows; spaces at the ends of lines do not count."""
    tidy = "".join(line.rstrip() + "\n" for line in output.strip("\n").splitlines())
    return re.fullmatch(pattern(shown), tidy) is not None


class Terminal:
    """One running command and what it has printed so far."""

    def __init__(self, command: str, variables: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "-c", command],
            env=variables,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def lines(self) -> Iterator[str]:
        """Each line as it comes, until the command closes its output."""
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.output += line
            yield line

    def close(self) -> None:
        """End the command and what it started, if it is still there."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def usual_port_or_another() -> int:
    """8420 when it is free, so that the README is tested to the letter; one process of the tests has it to itself."""
    return USUAL_PORT if _ours() and is_free(USUAL_PORT) else free_port()


@functools.cache
def _ours() -> bool:
    """Whether this process has the usual port, until it ends: another could look just before a server binds it."""
    claim = os.open(Path(tempfile.gettempdir()) / "keystead-tests-usual-port", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(claim)
        return False
    return True


@dataclass
class World:
    """An empty home directory, the variables of a fresh terminal, and the port the server will have."""

    home: Path
    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def variables(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        found = {"HOME": str(self.home), "PATH": path, "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1"}
        if self.port != USUAL_PORT:
            found |= {"KEYSTEAD_SERVER_PORT": str(self.port), "KEYSTEAD_SERVER": self.base}
        return found

    def here(self, text: str) -> str:
        """The README's text for this world."""
        return text.replace(f":{USUAL_PORT}", f":{self.port}")

    def written(self, text: str) -> str:
        """This world's output as the README would show it."""
        usual = text.replace(f":{self.port}", f":{USUAL_PORT}").replace(f" --server http://127.0.0.1:{USUAL_PORT}", "")
        return usual.replace(" (from KEYSTEAD_SERVER)", "").replace(str(self.home), "~")


@contextmanager
def server(world: World, step: Step) -> Iterator[Terminal]:
    """Type the first command, wait until it shows what the README says, and stop it with Ctrl-C at the end."""
    ask_make = ["make", "--dry-run", "--no-print-directory", "run"]  # this may itself run below `make test`
    recipe = subprocess.run(ask_make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # the set-up step of the recipe has its own test; here it would change the environment this test runs in
    start = recipe.splitlines()[-1].replace(".venv/bin/keystead", "exec keystead").replace("exec exec", "exec")
    terminal = Terminal(start, world.variables())
    try:
        for _ in terminal.lines():
            if matches(step.shown, world.written(terminal.output)):
                break
        assert matches(step.shown, world.written(terminal.output)), terminal.output
        yield terminal
        terminal.process.send_signal(signal.SIGINT)
        list(terminal.lines())
        assert terminal.process.wait(PATIENCE) == 0, terminal.output
    finally:
        terminal.close()
