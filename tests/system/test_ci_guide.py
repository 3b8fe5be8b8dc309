"""``docs/ci.md``, done as it says: a local issuer, a rule in the console, a pipeline without a stored credential."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

from documents import ROOT, World, blocks, server, steps
from guides import ProviderGuide
from people import PATIENCE, Forms, Person
from ports import free_port

GUIDE = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
START = next(iter(steps(blocks((ROOT / "docs/sign-in.md").read_text(encoding="utf-8"), "console")[0])))
SDK = """
import anthropic
client = anthropic.Anthropic(max_retries=0)
model = client.models.list().data[0].id
said = client.messages.create(model=model, max_tokens=99, messages=[{"role": "user", "content": "hello"}])
print(said.content[0].text)
"""


def option(page: str, name: str, label: str) -> str:
    """Return the value of the option that reads so."""
    found = re.search(rf'<select name="{name}".*?<option value="([^"]+)"[^>]*>{label}</option>', page, re.DOTALL)
    assert found, page
    return found[1]


def set_up(guide: ProviderGuide, ada: Person) -> None:
    """Section "Try it", in the console; leaves the variables in the pipeline's file."""
    base = f"{guide.world.base}/workloads"
    ada.fill(*ada.open(f"{base}/accounts/new"), {"name": "deploy"})
    typed = {"name": "Local", "issuer_url": guide.issuer, "audience": "my-app"}
    _, shown = ada.fill(*ada.open(f"{base}/issuers/new"), typed)
    assert guide.issuer in shown
    address, page = ada.open(f"{base}/rules/new")
    chosen = {"issuer": option(page, "issuer", "Local"), "service_account": option(page, "service_account", "deploy")}
    _, page = ada.fill(address, page, {"name": "Deploys", "conditions": "sub = demo-client", **chosen})
    variables = re.search(r'<pre id="variables"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert variables, page
    token = str(guide.company / "token")
    text = unescape(variables[1]).replace("/path/to/the/token", token)
    (guide.company / "pipeline.env").write_text(text + "\n", encoding="utf-8")


def test_the_guide_is_true(tmp_path: Path) -> None:
    world = World(tmp_path, free_port())
    listed = [steps(block) for block in blocks(GUIDE, "console")]
    guide = ProviderGuide(world, tmp_path / "company", free_port(), listed)
    (init, run), (fetch, hello, status) = guide.blocks
    ada = Person(world.base)
    fetch.command = fetch.command.replace("jq -r .access_token", f"{sys.executable} -c '{JQ}'")
    with server(world, START) as running, guide.provider(init, run):
        link = re.search(r"http\S+/setup#code=\S+", running.output)
        assert link
        ada.set_up(link[0])
        set_up(guide, ada)
        guide.run(fetch)
        guide.run(hello)
        guide.run(status)
        token = (guide.company / "token").read_text(encoding="utf-8").strip()
        tried = ada.fill(*ada.open(f"{world.base}/workloads/test"), {"token": token})[1]
        assert "accepts it, as deploy" in tried
        assert "deploy (service account)" in ada.open(f"{world.base}/usage")[1]

        guide.run(fetch)
        assert "test upstream" in with_the_sdk(guide)
        end_the_account(guide, ada)
        guide.run(fetch)
        refused = with_the_sdk(guide)
        assert "invalid_grant" in refused
        assert "test upstream" not in refused


JQ = 'import json, sys; print(json.load(sys.stdin)["access_token"])'


def with_the_sdk(guide: ProviderGuide) -> str:
    """Run the official SDK, unmodified, with the pipeline's variables only."""
    lines = (guide.company / "pipeline.env").read_text(encoding="utf-8").splitlines()
    variables = {**guide.world.variables(), **dict(line.split("=", 1) for line in lines)}
    done = subprocess.run(
        [sys.executable, "-c", SDK], env=variables, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout + done.stderr


def end_the_account(guide: ProviderGuide, ada: Person) -> None:
    address, page = ada.open(f"{guide.world.base}/workloads")
    ending = re.search(r'href="(/workloads/accounts/svac_[^"]+/disable)"', page)
    assert ending
    address, page = ada.open(guide.world.base + ending[1])
    reader = Forms()
    reader.feed(page)
    ada.open(address, reader.forms[0][1])


def test_every_label_of_the_guide_is_on_a_page() -> None:
    """What a person is told to choose has that name."""
    labels = set(re.findall(r"\*\*([A-Z][\w -]+?)\*\*", GUIDE))
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.html"))

    assert labels
    assert {label for label in labels if f">{label}" not in pages} == set()
