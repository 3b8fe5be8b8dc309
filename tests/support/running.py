"""The real programs in the system tests: a server and the client, each a process with a home of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Self

from people import PATIENCE, Person

PROGRAM: Final = str(Path(sys.executable).parent / "keystead")


def fresh_variables(home: Path, **more: str) -> dict[str, str]:
    """Return the variables of a new terminal on a new machine, and ``more``."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1", **more}


_ELSEWHERE: Final = {"KEYSTEAD_SERVER_DATABASE_URL", "KEYSTEAD_SERVER_DATA_DIR"}


def _with_schema(home: Path, migrated: Path) -> None:
    """Give a server that has not run yet an empty database as its migrations would leave it: they take seconds."""
    data = home / ".local" / "share" / "keystead" / "server"
    if not data.exists():
        data.mkdir(mode=0o700, parents=True)
        shutil.copyfile(migrated, data / migrated.name)


@dataclass
class RunningServer:
    """``keystead server run`` on a free port, from the line that says it runs until Ctrl-C.

    Attributes:
        migrated: a migrated file of SQLite for every new server to begin with; where it is None, each makes its own.
    """

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    output: str = ""
    migrated: ClassVar[Path | None] = None

    def __enter__(self) -> Self:
        if self.migrated is not None and not _ELSEWHERE & self.settings.keys():
            _with_schema(self.home, self.migrated)
        variables = fresh_variables(self.home, **{"KEYSTEAD_SERVER_PORT": "0", **self.settings})
        self.process = subprocess.Popen(
            [PROGRAM, "server", "run"],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._ready = threading.Event()
        self._said = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(PATIENCE), self.output
        assert self.process.poll() is None, self.output
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self.output += line
                self._said.notify_all()
            if 'keystead -p "hello"' in line:
                self._ready.set()
        self._ready.set()

    def wait_for_output(self, words: str) -> None:
        """Return once the server has said so."""
        with self._said:
            assert self._said.wait_for(lambda: words in self.output, PATIENCE), self.output

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, by: signal.Signals = signal.SIGINT) -> int:
        """End the server as a person does, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    @property
    def base(self) -> str:
        """Return the address it printed."""
        found = re.search(r"Console +(https?://\S+)/", self.output)
        assert found, self.output
        return found[1]

    @property
    def setup_link(self) -> str | None:
        """Return the one-time link it printed, if it did."""
        found = re.search(r"http\S+/setup#code=\S+", self.output)
        return found[0] if found else None

    def administrator(self) -> Person:
        """Create the first administrator and return that person, signed in."""
        person = Person(self.base)
        assert self.setup_link
        person.set_up(self.setup_link)
        return person


@dataclass
class Machine:
    """A developer's machine: an empty home, and the client."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def keystead(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the client to its end."""
        return subprocess.run(
            [PROGRAM, *arguments],
            env=fresh_variables(self.home, **self.variables),
            cwd=self.home,
            input="" if stdin is None else stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def sign_in(self, base: str, person: Person, *options: str) -> str:
        """Sign in with the device flow, approved by ``person``; returns what the terminal showed."""
        process = subprocess.Popen(
            [PROGRAM, "login", "--device", "--server", base, *options],
            env=fresh_variables(self.home, **self.variables),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        output = ""
        with process, process.stdout:
            try:
                for line in process.stdout:
                    output += line
                    if link := re.search(r"http\S+/device\?user_code=[\w-]+", line):
                        person.approve(link[0])
            except BaseException:
                process.kill()  # it would wait for its code for ten minutes
                raise
        assert process.returncode == 0, output
        return output


@dataclass
class Installation:
    """What a small company has after the first ten minutes."""

    server: RunningServer
    person: Person
    machine: Machine
    api_key: str

    @property
    def base(self) -> str:
        return self.server.base
