"""Listen on this machine for the browser's answer (RFC 8252 section 7.3).

Both loopback addresses on one ephemeral port, because ``127.0.0.1`` and ``::1`` each exist alone on some
machines. One answer is taken; everything else gets a page that says so and changes nothing.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Final

from keystead.errors import ConfigurationError

PATH: Final = "/callback"
_TRIES: Final = 20

Accept = Callable[[str], bool]
"""Given the query of the redirect; returns whether it is the answer that was waited for."""

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title} · Keystead</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1.05rem/1.6 system-ui, sans-serif; margin: 18vh auto; max-width: 32rem; padding: 0 1.5rem }}
  h1 {{ font-size: 1.6rem; font-weight: 600 }}
</style>
<main><h1>{title}</h1><p>{text}</p></main>
</html>
"""

_PAGES: Final = {
    200: ("Back to your terminal", "The answer has arrived there. You can close this page."),
    400: ("This is not the answer", "It belongs to another sign-in. Use the address that the terminal shows."),
    404: ("Nothing here", "This address waits for the end of one sign-in."),
    405: ("Nothing here", "This address waits for the end of one sign-in."),
    410: ("Already done", "This sign-in has its answer. You can close this page."),
    421: ("Nothing here", "This address waits for the end of one sign-in."),
}


@contextmanager
def listening(accept: Accept) -> Iterator[str]:
    """Listen while the context lasts; yield the redirect URI.

    Args:
        accept: called for each request to the callback until it first returns True; never after that.

    Raises:
        ConfigurationError: this machine has no loopback address one can listen on.
    """
    sockets = _bind()
    callback = _Callback(accept, sockets[0].getsockname()[1])
    servers = [_server(listener, callback) for listener in sockets]
    threads = [Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    host = "127.0.0.1" if sockets[0].family == socket.AF_INET else "[::1]"
    try:
        yield f"http://{host}:{callback.port}{PATH}"
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _Callback:
    """Decides what one request gets; shared by both addresses, so that one answer is one answer."""

    def __init__(self, accept: Accept, port: int) -> None:
        self.port = port
        self._accept = accept
        self._lock = Lock()
        self._taken = False

    def status(self, path: str, host: str) -> int:
        """Return the HTTP status for a GET of ``path`` with this ``Host``, and hand a first answer over."""
        if host not in {f"127.0.0.1:{self.port}", f"[::1]:{self.port}"}:
            return 421  # DNS rebinding: another site's name that points here
        address, _, query = path.partition("?")
        if address != PATH:
            return 404
        with self._lock:
            if self._taken:
                return 410
            self._taken = self._accept(query)
            return 200 if self._taken else 400


def _server(listener: socket.socket, callback: _Callback) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a browser opens connections ahead and says nothing on them

        def do_GET(self) -> None:
            self._answer(callback.status(self.path, self.headers.get("Host", "")))

        def do_POST(self) -> None:
            self._answer(405)

        def _answer(self, status: int) -> None:
            title, text = _PAGES[status]
            body = _PAGE.format(title=title, text=text).encode()
            self.send_response(status)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.send_header("cache-control", "no-store")
            self.send_header("referrer-policy", "no-referrer")
            self.send_header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "keystead"

        def log_message(self, *_: object) -> None:
            """Log nothing: the query is the code."""

    server = ThreadingHTTPServer(listener.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    return server


def _bind() -> list[socket.socket]:
    """Return listening sockets on the same free port of every loopback address there is, IPv4 first."""
    for _ in range(_TRIES):
        first = _listen(socket.AF_INET, "127.0.0.1", 0) or _listen(socket.AF_INET6, "::1", 0)
        if first is None:
            break
        if first.family == socket.AF_INET6:
            return [first]
        second = _listen(socket.AF_INET6, "::1", first.getsockname()[1])
        if second is not None:
            return [first, second]
        if not _has_ipv6():
            return [first]
        first.close()  # somebody else has that port on ::1; take another
    raise ConfigurationError(
        "No port of this machine can be listened on for the browser's answer.", hint="Use keystead login --device."
    )


def _listen(family: int, host: str, port: int) -> socket.socket | None:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        listener.bind((host, port))
        listener.listen(8)
    except OSError:
        listener.close()
        return None
    return listener


def _has_ipv6() -> bool:
    probe = _listen(socket.AF_INET6, "::1", 0)
    if probe is not None:
        probe.close()
    return probe is not None
