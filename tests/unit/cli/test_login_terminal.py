"""``keystead login`` as a process on a terminal of 40 columns, against a server on loopback."""

import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Login, LoginKind
from keystead.stores.file import FileStore

PROGRAM = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from keystead.cli import main; main()"
"""Takes its standard input as controlling terminal first, so that Ctrl-C reaches it."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        base = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        self._answer(
            200,
            {
                "issuer": base,
                "token_endpoint": f"{base}/oauth/token",
                "authorization_endpoint": f"{base}/oauth/authorize",
                "device_authorization_endpoint": f"{base}/oauth/device_authorization",
                "code_challenge_methods_supported": ["S256"],
                "gateway_protocol_version": 1,
            },
        )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("device_authorization"):
            codes = {"device_code": "d", "user_code": "BCDF-GHJK", "verification_uri": "http://127.0.0.1/device"}
            self._answer(200, {**codes, "expires_in": 600, "interval": 5})
        else:
            self._answer(400, {"error": "authorization_pending"})

    def _answer(self, status: int, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=running.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


@dataclass
class Terminal:
    """A process on its own terminal."""

    process: "subprocess.Popen[bytes]"
    master: int
    seen: str = ""

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            self.seen += os.read(self.master, 65536).decode()

    def finish(self) -> int:
        """Read to the end and return the exit code."""
        try:
            while data := os.read(self.master, 65536):
                self.seen += data.decode()
        except OSError:  # Linux ends a terminal without readers with EIO
            pass
        os.close(self.master)
        return self.process.wait(timeout=30)


def start(home: Path, *arguments: str) -> Terminal:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env={"HOME": str(home), "PATH": os.defpath, "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    return Terminal(process, master)


@pytest.fixture
def old(tmp_path: Path, login: Login) -> Login:
    return FileStore(tmp_path / ".keystead", SYSTEM_CLOCK).save(login)


@pytest.mark.parametrize(("flags", "marker"), [(("--no-browser",), "Waiting"), (("--device",), "Waiting")])
def test_ctrl_c_while_waiting_ends_with_2_and_leaves_everything_as_it_was(
    tmp_path: Path, server: str, old: Login, flags: tuple[str, ...], marker: str
) -> None:
    terminal = start(tmp_path, "login", "--server", server, *flags)
    terminal.read_until(marker)
    os.write(terminal.master, b"\x03")

    assert terminal.finish() == 2
    assert "Stopped. Nothing was changed." in terminal.seen
    assert "Traceback" not in terminal.seen
    assert FileStore(tmp_path / ".keystead", SYSTEM_CLOCK).load(LoginKind.GATEWAY) == old


def test_the_address_is_whole_and_c_copies_it(tmp_path: Path, server: str) -> None:
    terminal = start(tmp_path, "login", "--server", server, "--no-browser")
    terminal.read_until("Waiting")
    os.write(terminal.master, b"c")
    terminal.read_until("\x1b]52;c;")
    terminal.read_until("Copied")
    os.write(terminal.master, b"\x03")
    terminal.finish()

    addresses = [line for line in terminal.seen.splitlines() if f"{server}/oauth/authorize?" in line]
    assert len(addresses) == 1
    assert "code_challenge_method=S256" in addresses[0]


def test_a_machine_without_display_is_given_a_code(tmp_path: Path, server: str) -> None:
    terminal = start(tmp_path, "login", "--server", server)
    terminal.read_until("Waiting")
    os.write(terminal.master, b"\x03")

    assert terminal.finish() == 2
    assert "BCDF-GHJK" in terminal.seen
    assert not (tmp_path / ".keystead/credentials.json").exists()
