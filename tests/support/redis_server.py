"""A throw-away Redis on a loopback port of its own: it keeps nothing, wants a password, and is gone with the block."""

import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ports import free_port


class RedisServer:
    """One that can be stopped and started again on the same port.

    Attributes:
        url: its address, with the password.
    """

    def __init__(self, place: Path) -> None:
        self._port = free_port()
        self._place = place
        self._password = secrets.token_hex(16)
        self.url = f"redis://:{self._password}@127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = self._place / "redis.conf"  # a file, for an argument would show the password
        settings.write_text(
            f"port {self._port}\nbind 127.0.0.1\nrequirepass {self._password}\nsave ''\nappendonly no\n"
            f"daemonize no\nlogfile ''\ndir {self._place}\n"
        )
        self._process = subprocess.Popen(["redis-server", str(settings)], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        said = b""
        for line in self._process.stdout:
            said += line
            if b"Ready to accept connections" in line:
                return
        raise AssertionError(said.decode())

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def ask(self, *words: str | bytes) -> Any:
        """Send a command."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            return client.execute_command(*words)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Give one that runs."""
    with tempfile.TemporaryDirectory(prefix="ks-redis-") as place:
        server = RedisServer(Path(place))
        server.start()
        try:
            yield server
        finally:
            server.stop()
