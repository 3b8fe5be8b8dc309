"""Proving a cloud at launch: kept answers, one question for many processes, and the commands that repair."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import pytest
from clouds import AWS_KEYS, CALLER, NOWHERE, service_account, signed_by
from local_server import Answer, Asked, LocalServer, local_server

from keystead.clock import SYSTEM_CLOCK
from keystead.clouds import Clouds, exported
from keystead.credentials.cloud import Unsigned
from keystead.errors import CloudNotReady, CredentialRejected
from keystead.secret import Secret
from keystead.stores.trust import Trust
from keystead.testing.clock import FakeClock
from keystead.testing.machine import Machine


@pytest.fixture
def sts() -> Iterator[LocalServer]:
    with local_server({"*": CALLER}) as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, sts: LocalServer) -> Machine:
    """A machine whose STS is on loopback and which has no AWS credentials yet."""
    return Machine(tmp_path, NOWHERE | {"AWS_ENDPOINT_URL_STS": sts.url, "AWS_REGION": "eu-west-1"})


def clouds(machine: Machine, **variables: str) -> Clouds:
    """Return what a process with these further variables asks; the machine's clock says how old an answer is."""
    return Clouds(machine.environment(**variables), machine.clock)


def grant(machine: Machine) -> str:
    """Return a shell command that leaves AWS credentials in the home directory, as a login would."""
    keys = r"[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = made-up\n"
    return f"mkdir -p {machine.bare.home}/.aws && printf '{keys}' > {machine.bare.home}/.aws/credentials"


@pytest.mark.requirement("R-33 once")
def test_an_answer_counts_for_five_minutes(machine: Machine, sts: LocalServer) -> None:
    for _ in range(3):
        assert clouds(machine, **AWS_KEYS).prove("bedrock").account == "111122223333"
    assert len(sts.asked) == 1
    machine.clock.advance(301)
    clouds(machine, **AWS_KEYS).prove("bedrock")
    assert len(sts.asked) == 2


def test_whoever_wants_to_know_now_asks_now(machine: Machine, sts: LocalServer) -> None:
    for _ in range(2):
        clouds(machine, **AWS_KEYS).prove("bedrock", fresh=True)
    assert len(sts.asked) == 2


def test_other_credentials_are_another_question(machine: Machine, sts: LocalServer) -> None:
    """An answer about one account is never given for another, be it by variable or by file."""
    clouds(machine, **AWS_KEYS).prove("bedrock")
    clouds(machine, **AWS_KEYS | {"AWS_ACCESS_KEY_ID": "AKIAOTHER"}).prove("bedrock")
    config = machine.bare.home / ".aws/config"
    config.parent.mkdir()
    config.write_text("[default]\nregion = eu-north-1\n")
    clouds(machine, **AWS_KEYS).prove("bedrock")
    assert len(sts.asked) == 3


def test_what_is_kept_is_no_credential(machine: Machine) -> None:
    clouds(machine, **AWS_KEYS).prove("bedrock")
    (kept,) = machine.bare.state_dir.glob("cloud-bedrock-*.json")
    assert "made-up-secret" not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.requirement("R-33 once")
def test_many_processes_ask_once(machine: Machine, sts: LocalServer) -> None:
    """The others wait for the first and use its answer."""
    program = (
        "from keystead.clock import SYSTEM_CLOCK; from keystead.clouds import Clouds\n"
        "from keystead.environment import Environment\n"
        "print(Clouds(Environment.capture(), SYSTEM_CLOCK).prove('bedrock').account)"
    )
    variables = {**machine.variables, **AWS_KEYS, "HOME": str(machine.bare.home)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=variables, cwd=machine.bare.cwd, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    assert [one.communicate()[0].strip() for one in running] == ["111122223333"] * 8
    assert len(sts.asked) == 1


@pytest.mark.requirement("R-33 once")
@pytest.mark.parametrize("fresh", [False, True])
def test_who_waited_takes_the_refusal_of_who_asked(
    fresh: bool, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten terminals on a chain that hangs wait once, not ten times one after the other."""
    first = clouds(machine)
    asked: list[str] = []

    def hang(name: str, *_: object) -> NoReturn:
        """Let a second process come and wait while the first one's chain takes its time."""
        asked.append(name)
        if len(asked) == 1:
            Thread(target=wait).start()
            waiting.wait()
        machine.clock.advance(20)
        raise CloudNotReady("The credential chain took longer than 20 s.")

    waiting, told = Event(), Event()
    outcome: list[str] = []

    class Announcing(FakeClock):
        """Says when somebody waits, and lets them wait for real until the first is done."""

        def now(self) -> float:
            return machine.clock.now()

        def sleep(self, seconds: float) -> None:
            waiting.set()
            told.wait()

    def wait() -> None:
        try:
            Clouds(machine.environment(), Announcing()).prove("bedrock", fresh=fresh)
        except CloudNotReady as error:
            outcome.append(error.message)
        finally:
            done.set()

    done = Event()
    monkeypatch.setattr("keystead.drivers.cloud.obtain", hang)
    with pytest.raises(CloudNotReady):
        first.prove("bedrock", fresh=fresh)
    told.set()
    assert done.wait(30)
    assert (asked, outcome) == (["bedrock"], ["The credential chain took longer than 20 s."])


def test_a_failure_is_not_kept(machine: Machine) -> None:
    """The fix works at once."""
    with pytest.raises(CloudNotReady):
        clouds(machine).prove("bedrock")
    assert clouds(machine, **AWS_KEYS).prove("bedrock").proven


def test_where_nothing_can_be_written_nothing_is_shared(machine: Machine) -> None:
    machine.bare.state_dir.write_text("a file where the directory should be")
    assert clouds(machine, **AWS_KEYS).prove("bedrock").proven


def test_settings_bring_variables(machine: Machine, sts: LocalServer) -> None:
    """The ``env`` block of the user's settings counts as it does for the agent."""
    machine.settings({"env": AWS_KEYS})
    assert clouds(machine).prove("bedrock").proven


def test_a_project_chooses_the_region_and_no_endpoint(machine: Machine, sts: LocalServer) -> None:
    """Where the signed request would go is not for a clone to say (R-07)."""
    with local_server({"*": CALLER}) as other:
        machine.settings({"env": {"AWS_REGION": "ap-south-1", "AWS_ENDPOINT_URL_STS": other.url}}, scope="project")
        assert clouds(machine, **AWS_KEYS).prove("bedrock").region == "ap-south-1"
        assert (len(sts.asked), len(other.asked)) == (1, 0)


def test_a_project_brings_no_profile_file_of_its_own(machine: Machine) -> None:
    """A clone could name a credential_process there, which would then be run (R-07)."""
    (machine.bare.cwd / "config").write_text("[default]\ncredential_process = touch owned\n")
    names = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "config", "HOME": "."}
    for scope in ("project", "local"):
        machine.settings({"env": names}, scope=scope)
        with pytest.raises(CloudNotReady):
            clouds(machine).prove("bedrock")
    assert not (machine.bare.cwd / "owned").exists()


def test_a_proxy_that_adds_credentials_is_believed(machine: Machine, sts: LocalServer) -> None:
    found = clouds(machine, CLAUDE_CODE_SKIP_BEDROCK_AUTH="1").prove("bedrock")
    assert (found.proven, len(sts.asked)) == (False, 0)


def test_aws_auth_refresh_runs_when_there_is_nothing(machine: Machine) -> None:
    machine.settings({"awsAuthRefresh": grant(machine)})
    assert clouds(machine).prove("bedrock").source == "shared-credentials-file"


def test_what_a_refresh_prints_is_shown_as_it_comes(machine: Machine) -> None:
    """The address and the code of a sign-in in the browser; what an export prints is a credential and is not shown."""
    show = r"printf 'open https://sso.example.com\ntype ABCD\033[2J\nno end of line'"
    machine.settings({"awsAuthRefresh": show, "awsCredentialExport": "echo made-up-secret"})
    said: list[str] = []
    with pytest.raises(CloudNotReady):
        Clouds(machine.environment(), machine.clock, say=said.append).prove("bedrock")
    assert said == ["open https://sso.example.com", "type ABCD [2J"]


def test_aws_auth_refresh_does_not_run_while_credentials_work(machine: Machine) -> None:
    machine.settings({"awsAuthRefresh": f"touch {machine.bare.home}/ran"})
    clouds(machine, **AWS_KEYS).prove("bedrock")
    assert not (machine.bare.home / "ran").exists()


def test_a_refresh_that_fails_says_what_it_said(machine: Machine) -> None:
    machine.settings({"awsAuthRefresh": "echo the sign-in page is down >&2; exit 3"})
    with pytest.raises(CloudNotReady, match=r"awsAuthRefresh \(~/.claude/settings.json:2\) failed with exit code 3"):
        clouds(machine).prove("bedrock")


def test_aws_credential_export_is_used_after_everything_else(machine: Machine) -> None:
    document = {"Credentials": {"AccessKeyId": "AKIAEXPORT", "SecretAccessKey": "made-up", "SessionToken": "t"}}
    (machine.bare.home / "export.json").write_text(json.dumps(document))
    machine.settings({"awsCredentialExport": f"cat {machine.bare.home}/export.json"})
    found = clouds(machine).prove("bedrock")
    assert (found.source, found.proven) == ("awsCredentialExport (~/.claude/settings.json:2)", True)
    assert found.notes == ("only programs that know awsCredentialExport will find these credentials",)


@pytest.mark.parametrize(
    "output",
    [b"", b"{", b"[]", b'{"Credentials": []}', b'{"Credentials": {"AccessKeyId": "a"}}',
     b'{"Credentials": {"AccessKeyId": "a\\n", "SecretAccessKey": "b", "SessionToken": "c"}}',
     b'{"Credentials": {"AccessKeyId": 1, "SecretAccessKey": "b", "SessionToken": "c"}}'],
)  # fmt: skip
def test_an_export_of_something_else_is_refused(output: bytes) -> None:
    """And what it printed is not repeated."""
    with pytest.raises(CloudNotReady, match=r"^awsCredentialExport did not print AWS credentials\.$"):
        exported(output, "awsCredentialExport")


def test_gcp_auth_refresh_runs_when_there_is_nothing(machine: Machine) -> None:
    """It ran, and as it left nothing either, the chain's own problem is told."""
    machine.settings({"gcpAuthRefresh": f"touch {machine.bare.home}/ran"})
    with pytest.raises(CloudNotReady, match="Google credentials were not found"):
        clouds(machine).prove("vertex")
    assert (machine.bare.home / "ran").exists()


@pytest.mark.parametrize("scope", ["project", "local"])
def test_a_projects_own_refresh_is_not_run(scope: str, machine: Machine) -> None:
    """It is named, with the way to trust it (R-07)."""
    machine.settings({"awsAuthRefresh": f"touch {machine.bare.home}/ran"}, scope=scope)
    with pytest.raises(CloudNotReady) as caught:
        clouds(machine).prove("bedrock")
    assert "awsAuthRefresh" in str(caught.value.hint)
    assert not (machine.bare.home / "ran").exists()


def test_a_trusted_projects_refresh_is_run(machine: Machine) -> None:
    command = grant(machine)
    machine.settings({"awsAuthRefresh": command}, scope="project")
    Trust(machine.bare.state_dir).grant(machine.bare.cwd, {"awsAuthRefresh": command}, SYSTEM_CLOCK)
    assert clouds(machine).prove("bedrock").proven


def test_what_an_export_gave_signs_as_well(machine: Machine) -> None:
    """And the other remedies, which may open a browser, do not run for every request."""
    document = {"Credentials": {"AccessKeyId": "AKIAEXPORT", "SecretAccessKey": "made-up-secret", "SessionToken": "t"}}
    (machine.bare.home / "export.json").write_text(json.dumps(document))
    runs = machine.bare.home / "runs"
    machine.settings(
        {"awsAuthRefresh": f"echo >> {runs}", "awsCredentialExport": f"cat {machine.bare.home}/export.json"}
    )
    digest = hashlib.sha256(b"").hexdigest()
    unsigned = Unsigned("POST", "http://127.0.0.1:1/model/m/invoke", {}, digest, "bedrock", "eu-west-1")
    for _ in range(2):
        headers = {name: value.reveal() for name, value in clouds(machine).sign("bedrock", unsigned).items()}
        asked = Asked("POST", "/model/m/invoke", {"host": "127.0.0.1:1", **headers}, "")
        assert signed_by(asked) == ("AKIAEXPORT", "eu-west-1", "bedrock")
    assert runs.read_text() == "\n"


@pytest.mark.requirement("R-33 once")
def test_a_token_is_fetched_once_and_again_when_it_was_refused(machine: Machine, tmp_path: Path) -> None:
    numbers = iter("abc")

    def token(_: Asked) -> Answer:
        return 200, "application/json", {"access_token": next(numbers), "expires_in": 3600, "token_type": "Bearer"}

    with local_server({"POST /token": token}) as server:
        asking = clouds(
            machine,
            GOOGLE_APPLICATION_CREDENTIALS=service_account(tmp_path, f"{server.url}/token"),
            CLOUD_ML_REGION="europe-west1",
        )
        first = asking.token("vertex")
        assert asking.token("vertex") == first
        assert asking.prove("vertex") == first.identity
        second = asking.token("vertex", rejected=first.secret)
        assert asking.token("vertex", rejected=first.secret) == second  # by whoever else was refused
        assert len(server.asked) == 2
    assert (first.secret, second.secret) == (Secret("a"), Secret("b"))


def test_a_key_that_was_refused_is_final(machine: Machine) -> None:
    key = {"ANTHROPIC_FOUNDRY_API_KEY": "made-up", "ANTHROPIC_FOUNDRY_RESOURCE": "team"}
    opening = clouds(machine, **key).open("foundry")
    assert opening.route.base == "https://team.services.ai.azure.com/anthropic"
    with pytest.raises(CredentialRejected, match="ANTHROPIC_FOUNDRY_API_KEY"):
        clouds(machine, **key).open("foundry", rejected=opening.secret)
