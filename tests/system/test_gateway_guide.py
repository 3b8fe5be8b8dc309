"""``docs/gateway.md`` from nothing to a gateway, done as it says: upstreams, failover, policies, a spend limit."""

import re
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from documents import ROOT, Step, Terminal, World, blocks, matches, server, steps, usual_port_or_another
from people import EMAIL, PATIENCE, Forms, Person
from ports import free_port

GUIDE = (ROOT / "docs/gateway.md").read_text(encoding="utf-8").partition("## Connecting an upstream")[0]
PORTS = (8501, 8502)


class Guide:
    """The guide in this world, with other ports for the upstreams."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ports = {usual: free_port() for usual in PORTS}

    def here(self, text: str) -> str:
        for usual, port in self.ports.items():
            text = text.replace(str(usual), str(port))
        return self.world.here(text)

    def written(self, text: str) -> str:
        for usual, port in self.ports.items():
            text = text.replace(str(port), str(usual))
        return self.world.written(text)

    @contextmanager
    def upstream(self, step: Step) -> Iterator[Terminal]:
        terminal = Terminal(self.here(step.command), self.world.variables())
        try:
            assert self.written(next(terminal.lines())) == step.shown[0] + "\n"
            yield terminal
        finally:
            terminal.close()

    def run(self, step: Step, person: Person | None = None, code: int = 0) -> str:
        """Type one command; ``person`` says yes on the device page that it asks for."""
        terminal = Terminal(self.here(step.command), self.world.variables())
        try:
            for line in terminal.lines():
                if person is not None and (link := re.search(r"http\S+/device\?user_code=\S+", line)):
                    person.approve(link[0])
            assert terminal.process.wait(PATIENCE) == code, terminal.output
            assert matches(step.shown, self.written(terminal.output)), terminal.output
        finally:
            terminal.close()
        return terminal.output


def press(person: Person, at: tuple[str, str], ending: str, **button: str) -> tuple[str, str]:
    """Press a button of the form whose action ends so."""
    reader = Forms()
    reader.feed(at[1])
    action, fields = next(form for form in reader.forms if form[0].endswith(ending))
    return person.open(urllib.parse.urljoin(at[0], action), {**fields, **button})


def connect(guide: Guide, ada: Person, name: str, port: int) -> None:
    """Connect one upstream and test it."""
    base = guide.world.base
    typed = {"name": name, "base_url": guide.here(f"http://127.0.0.1:{port}")}
    address, page = ada.fill(*ada.open(base + "/upstreams/new/messages"), typed)
    way = re.search(r'href="([^"]+/credential/api_key)"', page)
    assert way, page
    address, page = ada.fill(*ada.open(urllib.parse.urljoin(address, way[1])), {"key": f"{name}-key"})
    _, page = press(ada, (address, page), "/test")
    assert "It answered GET /v1/models" in page


def policies(guide: Guide, ada: Person) -> None:
    """Make the group and both policies."""
    base = guide.world.base
    address, page = ada.fill(*ada.open(base + "/groups"), {"name": "Trial"})
    group = re.search(r"grp_\w+", address + page)
    assert group
    address, page = ada.open(f"{base}/groups/{group[0]}")
    press(ada, (address, page), "/members", email=EMAIL)
    both = {"Everybody": ["keystead-test-1"], "Trial": ["keystead-test-1", "sonnet"]}
    for name, models in both.items():
        document = f'{{"availableModels": {str(models).replace(chr(39), chr(34))}}}'
        assert document in GUIDE
        chosen = {"groups": group[0]} if name == "Trial" else {}
        ada.fill(*ada.open(base + "/policies/new"), {"name": name, "settings": document, **chosen})


def test_the_guide_is_true(tmp_path: Path) -> None:
    listed = [steps(block) for block in blocks(GUIDE, "console")]
    guide = Guide(World(tmp_path, usual_port_or_another()))
    (start,), (first,), (second,), (login, hello, refused), (again, upstreams), (held,), (left,) = listed
    ada = Person(guide.world.base)
    with ExitStack() as stack:
        running = stack.enter_context(server(guide.world, start))
        one = stack.enter_context(guide.upstream(first))
        stack.enter_context(guide.upstream(second))
        link = re.search(r"http\S+/setup#code=\S+", running.output)
        assert link
        ada.set_up(link[0])
        connect(guide, ada, "first", PORTS[0])
        connect(guide, ada, "second", PORTS[1])
        policies(guide, ada)

        guide.run(login, ada)
        assert "not a model" in guide.run(hello)
        guide.run(refused, code=78)
        one.close()
        assert "not a model" in guide.run(again)
        assert "second" in guide.run(upstreams)
        limit = {"whom": "organization||each", "amount": "0.01", "what": "spend|daily"}
        ada.fill(*ada.open(guide.world.base + "/limits"), limit)
        assert "not a model" not in guide.run(held, code=77)
        assert "less than 0.01 of 0.01 USD left, resets 00:00 UTC (for everybody)" in " ".join(guide.run(left).split())
