"""The library on a real machine: its page works as written, it decides as the command does, and it loads little."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import PROGRAM, fresh_variables

import keystead
from keystead.clock import SYSTEM_CLOCK
from keystead.stores.file import FileStore
from keystead.testing.messages_api import MessagesApi
from keystead.testing.store_contract import sample_login

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/library.md").read_text(encoding="utf-8")


def fences(language: str) -> str:
    """Return the contents of all fences of ``language``, one after the other."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def run_python(home: Path, script: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=fresh_variables(home, **variables),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_of_the_page_print_what_it_says(tmp_path: Path) -> None:
    """All of them in one program, top to bottom."""
    with MessagesApi() as api:
        printed = run_python(tmp_path, fences("python"), ANTHROPIC_API_KEY="made-up", ANTHROPIC_BASE_URL=api.base_url)

    assert printed.splitlines() == [line for line in fences("text").splitlines() if line]


def test_the_examples_of_the_page_have_types(tmp_path: Path) -> None:
    """Somebody who copies them into a strict project gets no complaint."""
    example = tmp_path / "example.py"
    example.write_text(fences("python"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(example)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


Furnish = Callable[[Path], dict[str, str]]
"""Changes an empty home, and returns variables."""


def _signed_in(home: Path) -> dict[str, str]:
    FileStore(home / ".keystead", SYSTEM_CLOCK).save(sample_login())
    return {"ANTHROPIC_API_KEY": "k"}


def _settings(home: Path, name: str, document: object) -> None:
    path = home / ".claude" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")


def _user_helper(home: Path) -> dict[str, str]:
    _settings(home, "settings.json", {"apiKeyHelper": "echo k", "env": {"ANTHROPIC_BASE_URL": "https://k.example/v1"}})
    return {}


def _project_helper(home: Path) -> dict[str, str]:
    _settings(home, "settings.local.json", {"apiKeyHelper": "echo hostile"})
    return {}


def _broken_settings(home: Path) -> dict[str, str]:
    _settings(home, "settings.json", "{")
    return {"ANTHROPIC_AUTH_TOKEN": "t"}


def _expecting(home: Path) -> dict[str, str]:
    subprocess.run([PROGRAM, "expect", "billing=subscription"], env=fresh_variables(home), cwd=home, check=True)
    return {"ANTHROPIC_API_KEY": "k"}


MACHINES: dict[str, Furnish] = {
    "bare": lambda _: {},
    "key": lambda _: {"ANTHROPIC_API_KEY": "k"},
    "token and key": lambda _: {"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_API_KEY": "k"},
    "malformed": lambda _: {"ANTHROPIC_API_KEY": "k\u00a0k"},
    "cloud": lambda _: {"CLAUDE_CODE_USE_BEDROCK": "yes", "ANTHROPIC_API_KEY": "k"},
    "wrong address": lambda _: {"ANTHROPIC_BASE_URL": "k.example", "ANTHROPIC_API_KEY": "k"},
    "wrong profile": lambda _: {"KEYSTEAD_PROFILE": "../x", "ANTHROPIC_API_KEY": "k"},
    "signed in": _signed_in,
    "helper": _user_helper,
    "helper of a project": _project_helper,
    "broken settings": _broken_settings,
    "other purse expected": _expecting,
}

DECIDE = """
import json, keystead
def plain(one):
    return one and {
        "source": one.source, "state": one.state, "reason": one.reason, "billing": one.billing, "header": one.header,
        "api_base": one.api_base, "expires_at": one.expires_at, "account": one.account and one.account.email,
        "provenance": one.provenance and str(one.provenance), "error": one.error and one.error.to_json(),
    }
found = keystead.resolve()
print(json.dumps({
    "winner": plain(found.winner), "considered": [plain(one) for one in found.considered],
    "warnings": found.warnings, "error": found.problem and found.problem.to_json(),
}))
"""


def _shown(candidate: dict[str, object] | None) -> dict[str, object] | None:
    """Return a candidate of ``status --json`` as the script above prints it."""
    if candidate is None:
        return None
    names = ("source", "state", "reason", "billing", "header", "api_base", "expires_at", "error")
    account, provenance = candidate["account"], candidate["provenance"]
    return {
        **{name: candidate[name] for name in names},
        "account": account["email"] if isinstance(account, dict) else None,
        "provenance": provenance["text"] if isinstance(provenance, dict) else None,
    }


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.requirement("R-34 library")
def test_the_library_decides_as_the_command_does(tmp_path: Path, name: str) -> None:
    """Winner, order, reasons, warnings and errors, to the letter."""
    variables = MACHINES[name](tmp_path)
    status = subprocess.run(
        [PROGRAM, "status", "--json"],
        env=fresh_variables(tmp_path, **variables),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(status.stdout)

    assert json.loads(run_python(tmp_path, DECIDE, **variables)) == {
        "winner": _shown(said["winner"]),
        "considered": [_shown(one) for one in said["considered"]],
        "warnings": said["warnings"],
        "error": said["error"],
    }


def test_importing_it_loads_nothing(tmp_path: Path) -> None:
    """A script or a shell prompt can afford it; everything comes on first use."""
    script = "import sys; before = set(sys.modules); import keystead; print(*sorted(set(sys.modules) - before))"

    assert run_python(tmp_path, script).split() == ["keystead"]


def test_every_public_name_is_there_and_every_name_is_public(tmp_path: Path) -> None:
    """Whether it is loaded already or not."""
    script = (
        "import keystead, types;"
        "own = {name for name, value in vars(keystead).items() if not isinstance(value, types.ModuleType)};"
        "print(*sorted(name for name in own - {'TYPE_CHECKING', 'Any'} if not name.startswith('_')))"
    )
    eager = set(run_python(tmp_path, script).split())

    assert dir(keystead) == sorted(set(keystead.__all__))
    assert eager <= set(keystead.__all__)
    assert {name for name in keystead.__all__ if getattr(keystead, name, None) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = keystead.absent
