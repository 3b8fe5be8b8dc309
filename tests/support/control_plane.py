"""The control plane over the test's own database, on loopback: for browsers, and for clients that others wrote."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    """One thread per connection; each closes its own database connection."""

    daemon_threads = True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        from django.db import connections

        try:
            super().process_request_thread(request, client_address)
        finally:
            connections.close_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the browser closes connections it no longer needs."""


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is wsgiref's
        """Say nothing."""


@contextmanager
def serving(around: Callable[[Any], Any] = lambda application: application) -> Iterator[str]:
    """Serve for the block, and give the address; ``around`` may put something before the application."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.test import override_settings

    with make_server("127.0.0.1", 0, around(get_wsgi_application()), Server, Quiet) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, port=server.server_port)):
            yield settings.KEYSTEAD.base_url
        server.shutdown()
        thread.join()
