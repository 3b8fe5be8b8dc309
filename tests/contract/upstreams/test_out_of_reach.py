"""An upstream that cannot be reached, or is none, is the operator's to look at, and the answer names it."""

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from upstreams import upstream

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running


def test_unreachable_upstream_is_named(serve: Callable[..., "Running"]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    running = serve(upstreams=[upstream(address, "anthropic")])
    answer = running.ask()
    assert answer.status == 502
    assert "cannot reach its upstream 'anthropic'" in answer.error["message"]
    (row,) = running.ledger.wait()
    assert (row.status, row.input_tokens, row.aborted) == (502, 0, False)


def test_upstream_that_speaks_no_http_is_502(serve: Callable[..., "Running"]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:
        running = serve(upstreams=[upstream(f"http://127.0.0.1:{odd.getsockname()[1]}")])
        thread = threading.Thread(target=_speak, args=(odd, b"SSH-2.0-OpenSSH\r\n\r\n"))
        thread.start()
        answer = running.ask()
        thread.join()
    assert answer.status == 502
    assert "not valid HTTP" in answer.error["message"]


def _speak(listener: socket.socket, data: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(data)
        connection.recv(65536)
