"""``docs/sign-in.md``, done as it says: a local provider, a connection, an agent by the device page, and its end."""

import re
import subprocess
import urllib.parse
from pathlib import Path

import pytest
from documents import ROOT, World, blocks, server, steps, usual_port_or_another
from guides import ProviderGuide
from people import Forms, Person, code_in
from ports import free_port
from visitors import first_form

GUIDE = (ROOT / "docs/sign-in.md").read_text(encoding="utf-8")
ADDRESS = "admin@example.org"


class Guide(ProviderGuide):
    """The guide, and what people do at its pages."""

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


@pytest.mark.requirement("sso guide")
def test_the_guide_is_true(tmp_path: Path) -> None:
    listed = [steps(block) for block in blocks(GUIDE, "console")]
    guide = Guide(World(tmp_path, usual_port_or_another()), tmp_path / "company", free_port(), listed)
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

        guide.run(login, lambda link: guide.approve(employee, link))
        guide.run(hello)
        seen, devices = ada.open(guide.world.base + "/devices")
        assert ADDRESS in devices
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
    menu = (ROOT / "src/keystead/server/console/navigation.py").read_text(encoding="utf-8")

    assert labels
    assert {label for label in labels if f">{label}" not in pages and f', "{label}", Permission.' not in menu} == set()
