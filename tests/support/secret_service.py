"""A real Secret Service: gnome-keyring on a message bus of its own, in a home of its own, gone with the test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

PROGRAMS: Final = ("dbus-daemon", "gnome-keyring-daemon")
MISSING: Final = tuple(program for program in PROGRAMS if shutil.which(program) is None)
NAME: Final = "org.freedesktop.secrets"
PROMPTER: Final = "org.gnome.keyring.SystemPrompter"
PASSWORD: Final = b"the password of the keyring"
# No service directories: nothing is started on demand, neither another keyring nor a window that asks.
_BUS: Final = """<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow eavesdrop="true"/></policy></busconfig>
"""


class SecretService:
    """A session with a message bus, and a keyring that can be started, stopped and locked.

    Attributes:
        variables: what a program of this session sees.
        bus: the process of the bus.
        keyring: the process of the keyring.
    """

    def __init__(self, root: Path) -> None:
        for name in ("home", "run"):
            (root / name).mkdir(mode=0o700)
        configuration, socket = root / "bus.conf", root / "run/bus"
        configuration.write_text(_BUS.format(socket))
        self.variables = {
            "HOME": str(root / "home"),
            "XDG_RUNTIME_DIR": str(root / "run"),
            "PATH": os.environ["PATH"],
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={socket}",
        }
        command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address=1"]
        self.bus = self._start(command, stdout=subprocess.PIPE)
        assert self.bus.stdout is not None
        assert self.bus.stdout.readline(), "the bus says its address when it listens"
        self._connections: list[Any] = []
        self.keyring = self.start()

    def start(self, password: bytes = PASSWORD) -> "subprocess.Popen[bytes]":
        """Start the keyring and unlock it with ``password``; return when it answers. The first time makes it."""
        from jeepney import DBusAddress, MatchRule, message_bus, new_method_call
        from jeepney.io.blocking import Proxy

        connection = self.connect()
        rule = MatchRule(
            type="signal", sender=message_bus.bus_name, interface=message_bus.interface, member="NameOwnerChanged"
        )
        rule.add_arg_condition(0, NAME)
        Proxy(message_bus, connection).AddMatch(rule)
        with connection.filter(rule) as owners:
            command = ["gnome-keyring-daemon", "--foreground", "--components=secrets", "--unlock"]
            self.keyring = self._start(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            assert self.keyring.stdin is not None
            with self.keyring.stdin as stdin:
                stdin.write(password)
            while not connection.recv_until_filtered(owners, timeout=30).body[2]:
                pass
        answering = DBusAddress("/org/freedesktop/secrets", NAME, "org.freedesktop.DBus.Peer")
        connection.send_and_get_reply(new_method_call(answering, "Ping"), timeout=30)
        return self.keyring

    def connect(self) -> Any:
        """Return a connection to the bus."""
        from jeepney.io.blocking import open_dbus_connection

        self._connections.append(open_dbus_connection(self.variables["DBUS_SESSION_BUS_ADDRESS"]))
        return self._connections[-1]

    def lock(self) -> None:
        """Lock everything."""
        import secretstorage

        secretstorage.get_default_collection(self.connect()).lock()

    def nobody_answers_prompts(self) -> None:
        """Stand for the window that asks for the password, and for a person who is not there."""
        from jeepney import message_bus
        from jeepney.io.blocking import Proxy

        assert Proxy(message_bus, self.connect()).RequestName(PROMPTER) == (1,)

    def stop(self) -> None:
        """End the keyring as the end of a session does."""
        self.keyring.kill()
        self.keyring.wait()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in (self.keyring, self.bus):
            process.kill()
            process.wait()
        if self.bus.stdout is not None:
            self.bus.stdout.close()

    def _start(self, command: list[str], **streams: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, env=self.variables, stderr=subprocess.DEVNULL, **streams)


@contextmanager
def secret_service() -> Iterator[SecretService]:
    """Begin a session; its directory has a short name, for a socket's path has little room."""
    with tempfile.TemporaryDirectory(prefix="ks-") as root:
        session = SecretService(Path(root))
        try:
            yield session
        finally:
            session.close()
