"""A throw-away PostgreSQL on a socket of its own: begun by a fixture, gone with it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name))


@contextmanager
def cluster() -> Iterator["Cluster"]:
    """Start one; it refuses to run as root, so root lends it to the user that came with the package."""
    place = Path(tempfile.mkdtemp(prefix="ks-pg-"))
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(place, "postgres")
    programs = PROGRAMS[-1] if PROGRAMS else Path(shutil.which("initdb") or "/missing/initdb").parent
    data = place / "data"

    def run(program: str, *arguments: str) -> None:
        # Output goes to a file: a pipe would stay open in the server that pg_ctl leaves behind.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [*as_user, str(programs / program), *arguments], stdout=said, stderr=said, cwd=place, check=False
            )
            said.seek(0)
            assert done.returncode == 0, said.read().decode()

    run("initdb", "-D", str(data), "-A", "trust", "-U", "keystead", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
    options = f"-k {place} -c listen_addresses='' -c fsync=off -c max_connections=120 -c shared_buffers=32MB"

    def start() -> None:
        run("pg_ctl", "-D", str(data), "-w", "-o", options, "start")

    def stop() -> None:
        run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")

    start()
    try:
        yield Cluster(place, start, stop)
    finally:
        stop()
        shutil.rmtree(place)


class Cluster:
    """Makes databases; whoever stops it starts it again."""

    def __init__(self, socket: Path, start: Callable[[], None], stop: Callable[[], None]) -> None:
        self._socket = socket
        self._count = 0
        self.start, self.stop = start, stop

    def create(self, template: str = "template1") -> str:
        """Return the address of a new database, a copy of ``template``."""
        import psycopg

        self._count += 1
        name = f"test{self._count}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.address(name)

    def address(self, name: str) -> str:
        return f"postgresql://keystead@/{name}?host={self._socket}"
