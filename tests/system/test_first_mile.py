"""The first mile: the real client, the official SDK and the real server, each as its user runs it."""

import contextlib
import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from running import Installation, Machine, RunningServer

NOT_A_MODEL = "test upstream, not a model"


MakeClient = Callable[..., anthropic.Anthropic]


@pytest.fixture
def sdk() -> Iterator[MakeClient]:
    """Return a function that makes official clients, unmodified; they are closed afterwards."""
    with contextlib.ExitStack() as opened:

        def make(base: str, **credential: str) -> anthropic.Anthropic:
            given: dict[str, Any] = {"api_key": None, "auth_token": None, **credential}
            return opened.enter_context(anthropic.Anthropic(base_url=base, **given, max_retries=0))

        yield make


def question(client: anthropic.Anthropic) -> dict[str, Any]:
    model = client.models.list().data[0].id
    return {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(params=["issued key", "key as bearer", "signed-in person"])
def client(request: pytest.FixtureRequest, installation: Installation, sdk: MakeClient) -> anthropic.Anthropic:
    """Return the official SDK, unmodified, with each credential one can have."""
    if request.param == "signed-in person":
        return sdk(installation.base, auth_token=installation.machine.keystead("token").stdout.strip())
    name = "api_key" if request.param == "issued key" else "auth_token"
    return sdk(installation.base, **{name: installation.api_key})


def test_the_sdk_gets_its_answer(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(**question(client))

    assert NOT_A_MODEL in answer.content[0].text
    assert answer.usage.output_tokens > 0


def test_the_sdk_streams_its_answer(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**question(client)) as stream:
        pieces = list(stream.text_stream)

    assert len(pieces) > 1
    assert NOT_A_MODEL in "".join(pieces)


def test_the_sdk_counts_tokens(client: anthropic.Anthropic) -> None:
    asked = question(client)

    assert client.messages.count_tokens(model=asked["model"], messages=asked["messages"]).input_tokens > 0


def test_status_says_who_pays_and_where_it_came_from(installation: Installation) -> None:
    shown = installation.machine.keystead("status")

    assert shown.returncode == 0
    for word in ("Gateway session", "credentials.json", "ada@example.com", "Example", "not a model", "Expires"):
        assert word in shown.stdout
    assert "ANTHROPIC_API_KEY is not set" in shown.stdout


def test_status_as_data_has_the_same_facts(installation: Installation) -> None:
    report = json.loads(installation.machine.keystead("status", "--json").stdout)

    assert report["schema"] == "keystead.status/1"
    assert report["winner"]["source"] == "gateway_session"
    assert report["winner"]["account"]["organization"]["name"] == "Example"
    assert report["winner"]["upstream"] == "test"


def test_a_question_is_answered_through_the_gateway(installation: Installation) -> None:
    answered = installation.machine.keystead("-p", "hello")

    assert (answered.returncode, answered.stderr) == (0, "")
    assert NOT_A_MODEL in answered.stdout


def test_a_model_that_does_not_exist_is_named(installation: Installation) -> None:
    refused = installation.machine.keystead("-p", "hello", "--model", "no-such-model")

    assert refused.returncode == 78
    assert "no-such-model" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_run_hands_the_credential_to_a_program_and_nothing_else(tmp_path: Path, installation: Installation) -> None:
    machine = Machine(installation.machine.home, {"ANTHROPIC_API_KEY": "sk-ant-api03-other"})

    shown = machine.keystead("run", "--", "env")

    assert shown.returncode == 0
    assert f"ANTHROPIC_BASE_URL={installation.base}" in shown.stdout
    assert "ANTHROPIC_AUTH_TOKEN=eyJ" in shown.stdout
    assert "sk-ant-api03-other" not in shown.stdout


def test_every_request_is_in_the_usage_of_today(installation: Installation, sdk: MakeClient) -> None:
    client = sdk(installation.base, api_key=installation.api_key)
    model = question(client)["model"]
    client.messages.create(**question(client))

    _, page = installation.person.open(installation.base + "/usage")

    assert model in page
    assert "system tests" in page


def test_a_policy_reaches_the_agent(installation: Installation, sdk: MakeClient) -> None:
    client = sdk(installation.base, api_key=installation.api_key)
    with pytest.raises(anthropic.NotFoundError, match="no policy of your organization is for you"):
        client.get("/managed/settings", cast_to=object)

    person = installation.person
    typed = {"name": "Base", "settings": '{"model": "keystead-test-1"}'}
    assert "everybody (the base)" in person.fill(*person.open(f"{installation.base}/policies/new"), typed)[1]

    given: Any = client.get("/managed/settings", cast_to=object)
    assert given["settings"] == {"model": "keystead-test-1"}
    assert given["checksum"].startswith("sha256:")


def test_a_revoked_key_is_refused_at_once(installation: Installation, sdk: MakeClient) -> None:
    key = installation.person.create_key("short-lived")
    client = sdk(installation.base, api_key=key)
    assert client.models.list().data
    _, page = installation.person.open(installation.base + "/keys")
    row = next(row for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if "short-lived" in row)
    link = re.search(r'href="([^"]*revoke[^"]*)"', row)
    assert link

    installation.person.fill(*installation.person.open(installation.base + link[1]), {})

    with pytest.raises(anthropic.AuthenticationError) as refused:
        client.models.list()
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_logout_ends_the_sign_in_on_the_server(installation: Installation, tmp_path: Path, sdk: MakeClient) -> None:
    machine = Machine(tmp_path)
    machine.sign_in(installation.base, installation.person)
    token = machine.keystead("token").stdout.strip()
    assert sdk(installation.base, auth_token=token).models.list().data

    left = machine.keystead("logout")

    assert left.returncode == 0
    with pytest.raises(anthropic.AuthenticationError):
        sdk(installation.base, auth_token=token).models.list()
    assert machine.keystead("token").returncode == 4


def test_a_restart_loses_nothing_and_prints_no_second_link(
    tmp_path: Path, sdk: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunningServer, "migrated", None)  # from an empty home, as everybody begins
    home, machine = tmp_path / "server", Machine(tmp_path / "machine")
    home.mkdir()
    machine.home.mkdir()
    with RunningServer(home) as first:
        person = first.administrator()
        key = person.create_key()
        port = first.base.rpartition(":")[2]
        machine.sign_in(first.base, person)
        assert first.stop() == 0

    with RunningServer(home, {"KEYSTEAD_SERVER_PORT": port}) as second:
        assert second.setup_link is None
        assert sdk(second.base, api_key=key).models.list().data
        assert machine.keystead("-p", "hello").returncode == 0


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_the_server_stops_cleanly(tmp_path: Path, by: signal.Signals) -> None:
    with RunningServer(tmp_path) as server:
        code = server.stop(by)

    assert code == 0
    assert server.output.rstrip().endswith("Keystead has stopped.")
    assert "Traceback" not in server.output


def test_a_port_in_use_is_named_with_the_fix(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = Machine(tmp_path).keystead("server", "run", "--port", str(port))

    assert refused.returncode == 78
    assert f"Port {port} on 127.0.0.1 is in use" in refused.stderr
    assert "KEYSTEAD_SERVER_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_second_server_on_the_same_data_is_refused(installation: Installation) -> None:
    refused = Machine(installation.server.home).keystead("server", "run", "--port", "0")

    assert refused.returncode == 75
    assert "already runs" in refused.stderr


@pytest.mark.parametrize(
    ("variable", "value", "code", "words"),
    [
        ("KEYSTEAD_SERVER_COLOUR", "blue", 78, "KEYSTEAD_SERVER_COLOUR is not a setting"),
        ("KEYSTEAD_SERVER_PORT", "many", 78, "must be a whole number"),
        ("KEYSTEAD_SERVER_ALLOW_TEST_UPSTREAM", "no", 78, "No upstream API key is set"),
        ("KEYSTEAD_SERVER_UPSTREAM_REFERENCES", "somewhere", 78, "has 'somewhere', which is no reference"),
        ("KEYSTEAD_SERVER_UPSTREAM_NETWORKS", "inside", 78, "UPSTREAM_NETWORKS is not a list of networks"),
        ("KEYSTEAD_SERVER_UPSTREAM_API_KEY", "sk-ant-oat01-canary", 77, "vendor-subscription-token"),
        ("KEYSTEAD_SERVER_UPSTREAM_API_KEY", "sk-ant-oat01-canary", 77, "fix: Set it to an API key from the vendor"),
        ("KEYSTEAD_SERVER_UPSTREAM_API_KEY", " sk-ant-oat01-canary", 78, "contains a character that cannot be sent"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_an_exit_code(
    tmp_path: Path, variable: str, value: str, code: int, words: str
) -> None:
    refused = Machine(tmp_path, {"KEYSTEAD_SERVER_PORT": "0", variable: value}).keystead("server", "run")

    assert refused.returncode == code
    assert words in refused.stderr
    assert "canary" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unreachable_server_is_said_with_the_fix(tmp_path: Path) -> None:
    refused = Machine(tmp_path).keystead("login", "--device", "--server", "http://127.0.0.1:1")

    assert refused.returncode == 75
    assert "http://127.0.0.1:1" in refused.stderr
    assert "fix:" in refused.stderr


def test_status_tells_the_truth_without_any_server(tmp_path: Path) -> None:
    """Point 3: real variables, a real settings file and a real cloud switch, offline."""
    settings = tmp_path / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{\n  "env": {\n    "ANTHROPIC_API_KEY": "sk-ant-api03-from-settings"\n  }\n}\n')

    shown = Machine(tmp_path).keystead("status")
    assert shown.returncode == 0
    assert "~/.claude/settings.json:3" in shown.stdout
    assert "from-settings" not in shown.stdout

    cloud = Machine(tmp_path, {"CLAUDE_CODE_USE_BEDROCK": "1"}).keystead("status", "--json")
    assert json.loads(cloud.stdout)["winner"]["source"] == "cloud:bedrock"
