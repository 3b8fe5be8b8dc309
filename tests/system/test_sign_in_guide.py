"""``docs/sign-in.md``, done as it says: a local provider, a connection, an agent by the device page, and its end."""

import re
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from documents import ROOT, Step, Terminal, World, blocks, matches, server, steps, usual_port_or_another
from people import PATIENCE, Forms, Person, code_in
from visitors import first_form

GUIDE = (ROOT / "docs/sign-in.md").read_text(encoding="utf-8")
PROVIDER_PORT = 8000
ADDRESS = "admin@example.org"


@dataclass
class Guide:
    """The guide in this world: other ports, another directory for the provider."""

    world: World
    company: Path
    provider_port: int
    blocks: list[list[Step]] = field(default_factory=lambda: [steps(block) for block in blocks(GUIDE, "console")])

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.provider_port}"

    def here(self, text: str) -> str:
        moved = text.replace("/tmp/company", str(self.company)).replace(f":{PROVIDER_PORT}", f":{self.provider_port}")
        return self.world.here(moved)

    def run(self, step: Step, person: Person | None = None, code: int = 0) -> str:
        """Type one command; the person opens the link that it prints."""
        terminal = Terminal(self.here(step.command), self.world.variables())
        try:
            for line in terminal.lines():
                if person is not None and (link := re.search(r"http\S+/device\?user_code=\S+", line)):
                    self.approve(person, link[0])
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

    def sign_in_there(self, person: Person, at: tuple[str, str]) -> tuple[str, str]:
        """Fill the provider's own page in; returns the page of ours that one comes back to."""
        address, page = at
        assert address.startswith(self.issuer), f"not at the provider but at {address}"
        action, fields = first_form(page)
        typed = {"username": "admin", "password": "admin"}
        return person.open(urllib.parse.urljoin(address, action), {**fields, **typed})

    def connect(self, ada: Person) -> str:
        """Section 3, up to the domain's proof; returns the connection's address."""
        base = self.world.base
        address, page = ada.fill(*ada.open(base + "/connections/new/oidc"), {"name": "Company", "issuer": self.issuer})
        assert f"{base}/oauth/callback/con_" in page
        given = {"client_id": "demo-client", "client_secret": "demo-secret", "admits": "on"}
        address, page = ada.fill(address, page, given)
        assert "Test this connection" in page
        _, page = ada.fill(*ada.open(base + "/connections"), {"domain": "example.org"})
        assert "not verified" in page
        return address

    def approve(self, person: Person, link: str) -> None:
        """Open the device page as a stranger, go through the provider, and come back to where one was."""
        _, page = person.open(link)
        way = re.search(r'href="(/sso\?next=[^"]+)"', page)
        assert way, page
        found = person.fill(*person.open(self.world.base + way[1].replace("&amp;", "&")), {"email": ADDRESS})
        address, page = self.sign_in_there(person, found)
        assert address == link
        question = person.fill(address, page, {"user_code": code_in(link)})
        done = person.fill(*question, {"user_code": code_in(link)}, decision="approve")
        assert "Return to your device" in done[1]


def press(person: Person, at: tuple[str, str], ending: str, **button: str) -> tuple[str, str]:
    """Press a button of the form whose action ends so."""
    reader = Forms()
    reader.feed(at[1])
    action, fields = next(form for form in reader.forms if form[0].endswith(ending))
    return person.open(urllib.parse.urljoin(at[0], action), {**fields, **button})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_guide_is_true(tmp_path: Path) -> None:
    guide = Guide(World(tmp_path, usual_port_or_another()), tmp_path / "company", free_port())
    (start,), (_, init, run), (_, verify), (login, hello), (refused,) = guide.blocks
    ada, employee = Person(guide.world.base), Person(guide.world.base)
    with server(guide.world, start) as running, guide.provider(init, run):
        link = re.search(r"http\S+/setup#code=\S+", running.output)
        assert link
        ada.set_up(link[0])
        connection = guide.connect(ada)
        _, tried = guide.sign_in_there(ada, ada.open(connection + "/try"))
        assert "would not come in" in tried
        guide.run(verify)
        _, tried = guide.sign_in_there(ada, ada.open(connection + "/try"))
        assert "This person would come in" in tried
        assert "preferred_username" in tried
        press(ada, ada.open(connection), "/switch", on="yes")

        guide.run(login, employee)
        guide.run(hello)
        seen, listed = ada.open(guide.world.base + "/devices")
        assert ADDRESS in listed
        ending = re.search(r'href="(/devices/gra_[^"]+)"', employee.open(seen)[1])
        assert ending
        press(employee, employee.open(guide.world.base + ending[1]), "")
        output = guide.run(refused, code=4)
        assert "test upstream" not in output


def test_every_label_of_the_guide_is_on_a_page() -> None:
    """What a person is told to choose has that name."""
    labels = set(re.findall(r"\*\*([A-Z][\w -]+?)\*\*", GUIDE.partition("## Good to know")[0]))
    listing = subprocess.run(["git", "ls-files", "src/**/*.html"], cwd=ROOT, capture_output=True, text=True, check=True)
    pages = "".join((ROOT / name).read_text(encoding="utf-8") for name in listing.stdout.split())

    assert labels
    assert {label for label in labels if f">{label}" not in pages} == set()
