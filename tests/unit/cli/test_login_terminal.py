"""``keystead login`` as a process on a terminal of 40 columns, against a server on loopback."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from terminals import Terminal, start

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Login, LoginKind
from keystead.stores.file import FileStore


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


def login_on_terminal(home: Path, server: str, *flags: str) -> Terminal:
    return start(home, "login", "--server", server, *flags, columns=40)


@pytest.fixture
def old(tmp_path: Path, login: Login) -> Login:
    return FileStore(tmp_path / ".keystead", SYSTEM_CLOCK).save(login)


@pytest.mark.parametrize(("flags", "marker"), [(("--no-browser",), "Waiting"), (("--device",), "Waiting")])
def test_ctrl_c_while_waiting_ends_with_2_and_leaves_everything_as_it_was(
    tmp_path: Path, server: str, old: Login, flags: tuple[str, ...], marker: str
) -> None:
    terminal = login_on_terminal(tmp_path, server, *flags)
    terminal.read_until(marker)
    terminal.type("\x03")

    assert terminal.finish() == 2
    assert "Stopped. Nothing was changed." in terminal.seen
    assert "Traceback" not in terminal.seen
    assert FileStore(tmp_path / ".keystead", SYSTEM_CLOCK).load(LoginKind.GATEWAY) == old


def test_the_address_is_whole_and_c_copies_it(tmp_path: Path, server: str) -> None:
    terminal = login_on_terminal(tmp_path, server, "--no-browser")
    terminal.read_until("Waiting")
    terminal.type("c")
    terminal.read_until("Copied")
    terminal.type("\x03")
    terminal.finish()

    assert b"\x1b]52;c;" in terminal.raw
    addresses = [line for line in terminal.raw.decode().splitlines() if f"{server}/oauth/authorize?" in line]
    assert len(addresses) == 1
    assert "code_challenge_method=S256" in addresses[0]


def test_a_machine_without_display_is_given_a_code(tmp_path: Path, server: str) -> None:
    terminal = login_on_terminal(tmp_path, server)
    terminal.read_until("Waiting")
    terminal.type("\x03")

    assert terminal.finish() == 2
    assert "BCDF-GHJK" in terminal.seen
    assert not (tmp_path / ".keystead/credentials.json").exists()
