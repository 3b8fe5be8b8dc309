"""Guides that begin with a local OpenID provider; other ports and directories than they name, else to the letter."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from documents import Step, Terminal, World, matches
from people import PATIENCE

PROVIDER_PORT = 8000


@dataclass
class ProviderGuide:
    """The guide in this world: other ports, another directory for the provider."""

    world: World
    company: Path
    provider_port: int
    blocks: list[list[Step]]

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.provider_port}"

    def here(self, text: str) -> str:
        moved = text.replace("/tmp/company", str(self.company)).replace(f":{PROVIDER_PORT}", f":{self.provider_port}")
        return self.world.here(moved)

    def run(self, step: Step, opened: Callable[[str], None] | None = None, code: int = 0) -> str:
        """Type one command; ``opened`` is told the link to the device page that it prints."""
        terminal = Terminal(self.here(step.command), self.world.variables())
        try:
            for line in terminal.lines():
                if opened is not None and (link := re.search(r"http\S+/device\?user_code=\S+", line)):
                    opened(link[0])
            assert terminal.process.wait(PATIENCE) == code, terminal.output
            assert matches(step.shown, self.world.written(terminal.output)), terminal.output
        finally:
            terminal.close()
        return terminal.output

    @contextmanager
    def provider(self, init: Step, run: Step) -> Iterator[None]:
        """Start the identity provider, on a port that is free here."""
        self.run(init)
        settings = self.company / "config" / "settings.yaml"
        text = settings.read_text(encoding="utf-8").replace(str(PROVIDER_PORT), str(self.provider_port))
        settings.write_text(text, encoding="utf-8")
        terminal = Terminal(self.here(run.command), self.world.variables())
        try:
            assert any("Running on" in line for line in terminal.lines()), terminal.output
            yield
        finally:
            terminal.close()
