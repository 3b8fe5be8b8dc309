"""Whoever sends slowly keeps nobody else waiting."""

import http.client
import socket
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

from running import RunningServer

from keystead.server.app import WORKERS

BEGUN = (
    b"POST /oauth/device_authorization HTTP/1.1\r\nhost: %b\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    b"content-length: 100\r\n\r\nclient_id="
)


def test_requests_that_never_become_whole_leave_the_pages_working(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server, ExitStack() as stack:
        place = urlsplit(server.base)
        host, port = str(place.hostname), int(place.port or 0)
        for _ in range(3 * WORKERS):
            sender = stack.enter_context(socket.create_connection((host, port), 10))
            sender.sendall(BEGUN % place.netloc.encode())
        with closing(http.client.HTTPConnection(host, port, timeout=20)) as connection:
            connection.request("GET", "/account/login/")
            assert connection.getresponse().status == 200


def test_a_form_that_is_too_large_is_413_with_a_sentence(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        place = urlsplit(server.base)
        with closing(http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)) as connection:
            connection.request("POST", "/account/login/", b"x" * 6_000_000)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (413, b"The request is larger than 4194304 bytes. Send less.")
