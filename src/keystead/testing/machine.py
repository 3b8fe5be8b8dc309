"""A made-up machine: settings files, variables, stored logins and time, with the resolver and the client on it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from keystead.client import Client
from keystead.environment import Environment
from keystead.resolver import Resolution, Resolver
from keystead.stores.approvals import Approvals
from keystead.stores.memory import MemoryStore
from keystead.testing.clock import FakeClock
from keystead.testing.environment import bare_environment


class Machine:
    """Nothing is on it at first, and it has no network.

    Args:
        root: an empty directory, such as ``tmp_path``.
        variables: environment variables of every process on it.

    Attributes:
        store: its logins, in memory.
        approvals: its answers about API keys.
    """

    def __init__(self, root: Path, variables: Mapping[str, str] | None = None) -> None:
        self.bare = bare_environment(root)
        self.variables = dict(variables or {})
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.approvals = Approvals(self.bare.state_dir, self.clock)

    def settings(self, document: object, *, scope: str = "user") -> None:
        """Write the agent's settings file of ``scope``; a string is written as it is."""
        path = {
            "managed": self.bare.managed_dir / "managed-settings.json",
            "local": self.bare.cwd / ".claude/settings.local.json",
            "project": self.bare.cwd / ".claude/settings.json",
            "user": self.bare.home / ".claude/settings.json",
        }[scope]
        path.parent.mkdir(exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1), encoding="utf-8")

    def vendor_login(self, content: str = "") -> Path:
        """Pretend that another product is signed in; return its file."""
        path = self.bare.home / ".claude/.credentials.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def environment(self, **variables: str) -> Environment:
        """Return what a process with these further variables sees."""
        merged = {**self.variables, **variables}
        return Environment(merged, self.bare.home, self.bare.cwd, managed_dir=self.bare.managed_dir)

    def resolve(self, *, interactive: bool = False, **variables: str) -> Resolution:
        """Decide as a process with these further variables would."""
        environment = self.environment(**variables)
        return Resolver(environment, self.store, self.clock, interactive=interactive).resolve()

    def client(self, *, interactive: bool = False, **variables: str) -> Client:
        """Return the client of such a process; sending anything fails the test."""
        return Client(self.environment(**variables), self.store, no_network, self.clock, interactive=interactive)


def no_network() -> NoReturn:
    """Stand for a transport factory that must not be called."""
    raise AssertionError("a request was about to be sent")
