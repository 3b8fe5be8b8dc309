"""``KEYSTEAD_API_KEY``: a key by where it is kept, looked at without side effects and read when it is needed (R-27)."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from keystead.cli import run
from keystead.client import Client
from keystead.errors import (
    ConfigurationError,
    CredentialRejected,
    HelperFailed,
    MalformedSecret,
    PolicyDenied,
    UnreadableFile,
)
from keystead.sources.candidate import CandidateState
from keystead.sources.configuration import Configuration
from keystead.testing.machine import Machine

CANARY = "canary-behind-a-reference"
VENDOR = "https://api.anthropic.com/v1/messages"
OWN = "https://keys.example.com"
COUNTING = "exec:sh -c 'echo run >> runs; wc -l < runs'"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {"PATH": os.defpath})


def key_file(machine: Machine, content: str = CANARY, mode: int = 0o600) -> Path:
    path = machine.bare.home / "key"
    path.write_text(content)
    path.chmod(mode)
    return path


def sent(client: Client, url: str = VENDOR) -> dict[str, str]:
    return {name: value.reveal() for name, value in client.credential().for_url(url).items()}


@pytest.mark.requirement("R-27 key")
def test_every_sort_of_place_gives_the_key_to_its_origin_alone(machine: Machine) -> None:
    key_file(machine)
    reader, writer = os.pipe()
    os.write(writer, CANARY.encode())
    os.close(writer)
    machine.variables["CREDENTIALS_DIRECTORY"] = str(machine.bare.home)
    machine.variables["SOMEWHERE"] = CANARY

    for text in ("file:~/key", "env:SOMEWHERE", f"exec:echo {CANARY}", f"fd:{reader}", "systemd:key"):
        client = machine.client(KEYSTEAD_API_KEY=text, ANTHROPIC_BASE_URL=OWN)
        assert sent(client, OWN) == {"x-api-key": CANARY}, text
        with pytest.raises(PolicyDenied):
            sent(client)
        assert sent(client, OWN) == {"x-api-key": CANARY}, f"{text} a second time"
        assert CANARY not in repr(client.resolve())
    os.close(reader)


@pytest.mark.requirement("R-27 looking")
def test_looking_opens_runs_and_asks_nothing(machine: Machine) -> None:
    """The file is there with the right mode, and its content is not even text; no program and no descriptor is used."""
    key_file(machine).write_bytes(b"\xff\xff")
    reader, writer = os.pipe()
    os.write(writer, b"untouched")
    for text in ("file:~/key", "exec:touch ran", "keyring:service/user", f"fd:{reader}"):
        winner = machine.resolve(KEYSTEAD_API_KEY=text).require()
        assert winner.source == "api_key_reference"
        assert text.partition(":")[2] not in f"{winner!r}"
    assert os.read(reader, 100) == b"untouched"
    os.close(writer)
    os.close(reader)
    assert not list(machine.bare.home.parent.rglob("ran"))
    assert machine.resolve(interactive=True, KEYSTEAD_API_KEY="env:PATH").require().approval is None


@pytest.mark.requirement("R-27 key")
@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (CANARY, ConfigurationError, "must say where the key is kept"),
        ("file:~/missing", UnreadableFile, "does not exist"),
        ("file:~/open", UnreadableFile, "open to other users"),
        ("file:~", ConfigurationError, "not a whole path"),
        ("file:~/pipe", UnreadableFile, "not a regular file"),
        ("env:NOT_SET", ConfigurationError, "NOT_SET, which is not set"),
        ("systemd:key", ConfigurationError, "CREDENTIALS_DIRECTORY is not set"),
        ("exec:echo 'x", ConfigurationError, "not a command"),
        ("keyring:service", ConfigurationError, "does not name service and user"),
        ("fd:three", ConfigurationError, "not the number of a descriptor"),
        ("exec:", ConfigurationError, "names nothing"),
    ],
)
def test_what_is_wrong_is_said_by_looking_and_nothing_below_is_used(
    text: str, error: type[Exception], says: str, machine: Machine
) -> None:
    key_file(machine, mode=0o644).rename(machine.bare.home / "open")
    os.mkfifo(machine.bare.home / "pipe", 0o600)
    machine.settings({"apiKeyHelper": "echo another"})

    resolution = machine.resolve(KEYSTEAD_API_KEY=text)

    with pytest.raises(error, match=says) as raised:
        resolution.require()
    assert "KEYSTEAD_API_KEY" in str(raised.value) or error is UnreadableFile
    assert CANARY not in f"{raised.value!r} {resolution!r}"
    states = {one.source: one.state for one in resolution.considered if one.present}
    assert states == {"api_key_reference": CandidateState.BROKEN, "api_key_helper": CandidateState.OUTRANKED}


@pytest.mark.requirement("R-07 references")
@pytest.mark.parametrize("scope", ["project", "local"])
def test_files_of_a_project_name_no_place(scope: str, machine: Machine) -> None:
    """Neither the reference, nor what a reference of the person's own is read against."""
    machine.settings({"env": {"KEYSTEAD_API_KEY": "exec:touch ran", "NAMED": "evil"}}, scope=scope)
    with pytest.raises(PolicyDenied, match="sets KEYSTEAD_API_KEY"):
        machine.resolve().require()
    assert sent(machine.client(KEYSTEAD_API_KEY="env:NAMED", NAMED="mine")) == {"x-api-key": "mine"}
    assert not list(machine.bare.home.parent.rglob("ran"))


def test_the_users_own_settings_may_name_one(machine: Machine) -> None:
    key_file(machine)
    machine.settings({"env": {"KEYSTEAD_API_KEY": "file:~/key"}})
    winner = machine.resolve().require()
    assert str(winner.provenance) == "~/.claude/settings.json:3"
    assert sent(machine.client()) == {"x-api-key": CANARY}


@pytest.mark.requirement("R-27 key")
def test_a_program_runs_once_in_five_minutes_and_nothing_of_it_is_written(machine: Machine) -> None:
    client = machine.client(KEYSTEAD_API_KEY=COUNTING)
    assert [sent(client) for _ in range(3)] == [{"x-api-key": "1"}] * 3
    machine.clock.advance(299)
    assert sent(client) == {"x-api-key": "1"}
    machine.clock.advance(1)
    assert sent(client) == {"x-api-key": "2"}
    assert not machine.bare.state_dir.exists()


def test_threads_that_need_it_at_once_run_the_program_once(machine: Machine) -> None:
    client, start = machine.client(KEYSTEAD_API_KEY=COUNTING), Barrier(8)

    def ask(_: int) -> dict[str, str]:
        start.wait()
        return sent(client)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [{"x-api-key": "1"}] * 8


@pytest.mark.requirement("R-09 references")
def test_a_refused_key_is_read_once_more_and_the_same_key_is_final(machine: Machine) -> None:
    path = key_file(machine, "old")
    client = machine.client(KEYSTEAD_API_KEY="file:~/key")
    refused = client.credential()
    path.write_text("new")
    renewed = client.again(refused)
    assert renewed.secret.reveal() == "new"
    with pytest.raises(CredentialRejected, match="KEYSTEAD_API_KEY"):
        client.again(renewed)

    counting = machine.client(KEYSTEAD_API_KEY=COUNTING)
    assert counting.again(counting.credential()).secret.reveal() == "2"


def test_what_is_kept_wrongly_is_said_when_it_is_read(machine: Machine) -> None:
    key_file(machine, "two\nlines")
    with pytest.raises(MalformedSecret):
        machine.client(KEYSTEAD_API_KEY="file:~/key").credential()
    with pytest.raises(HelperFailed, match="exit code 3"):
        machine.client(KEYSTEAD_API_KEY="exec:sh -c 'exit 3'").credential()


def test_a_token_of_a_keystead_server_goes_to_no_vendor(machine: Machine) -> None:
    """It could not be seen by looking, so it is seen when it is read."""
    key_file(machine, "ksk_" + "0" * 40)
    with pytest.raises((MalformedSecret, ConfigurationError)):
        machine.client(KEYSTEAD_API_KEY="file:~/key").credential()


@pytest.mark.requirement("R-17 children")
def test_a_child_gets_the_key_in_use_and_neither_the_reference_nor_what_it_names(machine: Machine) -> None:
    machine.variables.update(KEYSTEAD_API_KEY="env:SOMEWHERE", SOMEWHERE=CANARY, OTHER="kept")
    configuration = Configuration.read(machine.environment())

    child = run.child_variables(run.own_variables(configuration, {}), machine.client().credential())

    assert {name: child.get(name) for name in ("ANTHROPIC_API_KEY", "SOMEWHERE", "KEYSTEAD_API_KEY", "OTHER")} == {
        "ANTHROPIC_API_KEY": CANARY, "SOMEWHERE": None, "KEYSTEAD_API_KEY": None, "OTHER": "kept"
    }  # fmt: skip


def test_a_descriptor_that_was_read_is_not_handed_on(machine: Machine) -> None:
    """A file in its place could be read again by whoever inherits it."""
    with key_file(machine).open("rb") as file:
        os.set_inheritable(file.fileno(), True)
        sent(machine.client(KEYSTEAD_API_KEY=f"fd:{file.fileno()}"))
        asking = f"import os; os.fstat({file.fileno()})"
        done = subprocess.run([sys.executable, "-I", "-c", asking], close_fds=False, capture_output=True, check=False)
    assert b"Bad file descriptor" in done.stderr
