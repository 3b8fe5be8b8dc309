"""``-p`` and ``token`` through clouds that are served on loopback, and which check what they are sent."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from clouds import AMAZON_STREAM, AWS_KEYS, CALLER, NOWHERE, STREAM, keystead, service_account, signed_by
from local_server import Answer, Asked, LocalServer, local_server

MODEL = "anthropic.claude-x-v1:0"
INVOKE = "POST /model/anthropic.claude-x-v1%3A0/invoke-with-response-stream"
PREDICT = "POST /v1/projects/team/locations/europe-west1/publishers/anthropic/models/claude-x@1:streamRawPredict"
GOOGLE = {"access_token": "made-up-google-token", "expires_in": 3600, "token_type": "Bearer"}
ENTRA = {"access_token": "made-up-entra-token", "expires_in": "3600", "token_type": "Bearer", "resource": "r"}
IDENTITY = "GET /metadata/identity/oauth2/token"
Rows = dict[str, Answer | Callable[[Asked], Answer]]


@dataclass(frozen=True)
class Place:
    """A cloud on loopback: what to ask, where the answer is, and the variables that lead there."""

    model: str
    route: str
    variables: Callable[[str, Path], dict[str, str]]
    answer: Answer = STREAM

    @contextmanager
    def serve(
        self, home: Path, **changed: Answer | Callable[[Asked], Answer]
    ) -> Iterator[tuple[LocalServer, dict[str, str]]]:
        answers: Rows = {
            self.route: self.answer, "POST /token": (200, "application/json", GOOGLE),
            IDENTITY: (200, "application/json", ENTRA), "*": CALLER,
        }  # fmt: skip
        with local_server({**answers, **changed}) as server:
            yield server, NOWHERE | self.variables(server.url, home)


def aws(switch: str, base: str, path: str = "", **more: str) -> Callable[[str, Path], dict[str, str]]:
    return lambda url, _: {**AWS_KEYS, switch: "1", base: url + path, "AWS_ENDPOINT_URL_STS": url, **more}


def vertex(url: str, home: Path) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_VERTEX": "1", "ANTHROPIC_VERTEX_BASE_URL": f"{url}/v1", "CLOUD_ML_REGION": "europe-west1",
        "ANTHROPIC_VERTEX_PROJECT_ID": "team", "GOOGLE_APPLICATION_CREDENTIALS": service_account(home, f"{url}/token"),
    }  # fmt: skip


def foundry(url: str, _: Path) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_FOUNDRY": "1", "ANTHROPIC_FOUNDRY_BASE_URL": f"{url}/anthropic/",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": url,
    }  # fmt: skip


BEDROCK = Place(MODEL, INVOKE, aws("CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_BEDROCK_BASE_URL"), AMAZON_STREAM)
KEY = {"AWS_BEARER_TOKEN_BEDROCK": "made-up-key", "AWS_ENDPOINT_URL_BEDROCK": "https://127.0.0.1:9"}
BEDROCK_KEY = Place(
    MODEL, INVOKE, aws("CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_BEDROCK_BASE_URL", **KEY),
    AMAZON_STREAM,
)  # fmt: skip
MANTLE = Place(
    MODEL,
    "POST /anthropic/v1/messages",
    aws("CLAUDE_CODE_USE_MANTLE", "ANTHROPIC_BEDROCK_MANTLE_BASE_URL", "/anthropic"),
)
PLATFORM = Place(
    MODEL, "POST /v1/messages",
    aws("CLAUDE_CODE_USE_ANTHROPIC_AWS", "ANTHROPIC_AWS_BASE_URL", ANTHROPIC_AWS_WORKSPACE_ID="wrkspc_1"),
)  # fmt: skip
VERTEX = Place("claude-x@1", PREDICT, vertex)
FOUNDRY = Place("deployment", "POST /anthropic/v1/messages", foundry)
CHECKS: dict[str, tuple[Place, Callable[[Asked], object], object]] = {
    "bedrock": (BEDROCK, signed_by, ("AKIAEXAMPLE", "eu-west-1", "bedrock")),
    "bedrock with a key": (BEDROCK_KEY, lambda asked: asked.headers["authorization"], "Bearer made-up-key"),
    "mantle": (MANTLE, signed_by, ("AKIAEXAMPLE", "eu-west-1", "bedrock-mantle")),
    "platform": (PLATFORM, signed_by, ("AKIAEXAMPLE", "eu-west-1", "aws-external-anthropic")),
    "vertex": (VERTEX, lambda asked: asked.headers["authorization"], "Bearer made-up-google-token"),
    "foundry": (FOUNDRY, lambda asked: asked.headers["authorization"], "Bearer made-up-entra-token"),
}


def questions(server: LocalServer, place: Place) -> list[Asked]:
    return [one for one in server.asked if f"{one.method} {one.path}" == place.route]


@pytest.mark.parametrize("name", CHECKS)
def test_a_question_is_answered_through_a_cloud(name: str, tmp_path: Path) -> None:
    """With the cloud's own credential in one header, and nothing of any other."""
    place, check, wanted = CHECKS[name]
    with place.serve(tmp_path) as (server, variables):
        done = keystead(tmp_path, "-p", "hi", "--model", place.model, ANTHROPIC_API_KEY="other", **variables)
        (asked,) = questions(server, place)
    assert (done.returncode, done.stdout) == (0, "Hello there.\n")
    assert check(asked) == wanted
    assert "x-api-key" not in asked.headers
    assert json.loads(asked.body)["messages"] == [{"role": "user", "content": "hi"}]
    assert asked.headers.get("anthropic-workspace-id") == ("wrkspc_1" if place is PLATFORM else None)


@pytest.mark.parametrize(
    ("place", "key"), [(FOUNDRY, "ANTHROPIC_FOUNDRY_API_KEY"), (PLATFORM, "ANTHROPIC_AWS_API_KEY")]
)
def test_a_key_goes_into_its_header(place: Place, key: str, tmp_path: Path) -> None:
    with place.serve(tmp_path) as (server, variables):
        done = keystead(tmp_path, "-p", "hi", **variables, **{key: "made-up-key", "ANTHROPIC_MODEL": place.model})
        (asked,) = questions(server, place)
    assert (done.returncode, done.stdout) == (0, "Hello there.\n")
    assert asked.headers["x-api-key"] == "made-up-key"
    assert "authorization" not in asked.headers


def test_a_proxy_that_adds_the_credentials_gets_none(tmp_path: Path) -> None:
    with BEDROCK.serve(tmp_path) as (server, variables):
        variables["CLAUDE_CODE_SKIP_BEDROCK_AUTH"] = "1"
        done = keystead(tmp_path, "-p", "hi", "--model", MODEL, **variables)
        refused = keystead(tmp_path, "token", **variables)
        (asked,) = server.asked
    assert (done.returncode, done.stdout) == (0, "Hello there.\n")
    assert not {"authorization", "x-api-key", "x-amz-date"} & asked.headers.keys()
    assert (refused.returncode, refused.stdout) == (78, "")
    assert "a proxy adds the credentials (CLAUDE_CODE_SKIP_BEDROCK_AUTH)" in refused.stderr


@pytest.mark.requirement("R-33 once")
@pytest.mark.parametrize(
    ("place", "token", "fetches"),
    [(VERTEX, "made-up-google-token", "/token"), (FOUNDRY, "made-up-entra-token", "/metadata/identity/oauth2/token")],
)
def test_the_token_of_a_cloud_is_printed_and_kept_until_it_ends(
    place: Place, token: str, fetches: str, tmp_path: Path
) -> None:
    """Fetched once for every process and every command."""
    with place.serve(tmp_path) as (server, variables):
        plain = keystead(tmp_path, "token", **variables)
        document = json.loads(keystead(tmp_path, "token", "--json", **variables).stdout)
        asked = keystead(tmp_path, "-p", "hi", "--model", place.model, **variables)
        started = keystead(tmp_path, "run", "--", "echo", "started", **variables)
        assert [one.path.partition("?")[0] for one in server.asked].count(fetches) == 1
        assert document["api_base"].startswith(server.url)
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, f"{token}\n", "")
    assert (document["token"], document["header"]) == (token, "authorization")
    assert document["expires_at"] is not None
    assert (asked.returncode, started.stdout) == (0, "started\n")
    for kept in (tmp_path / ".keystead").glob("cloud-*.json"):
        assert kept.stat().st_mode & 0o777 == 0o600


def test_a_bedrock_key_is_the_token(tmp_path: Path) -> None:
    with BEDROCK_KEY.serve(tmp_path) as (_, variables):
        done = keystead(tmp_path, "token", **variables)
    assert (done.returncode, done.stdout) == (0, "made-up-key\n")


def test_where_requests_are_signed_there_is_no_token(tmp_path: Path) -> None:
    """It is said without asking anybody, with the way out."""
    with BEDROCK.serve(tmp_path) as (server, variables):
        done = keystead(tmp_path, "token", **variables)
        assert server.asked == []
    assert (done.returncode, done.stdout) == (78, "")
    assert "Amazon Bedrock takes no token: each request is signed with AWS keys." in done.stderr
    assert "keystead run" in done.stderr


@pytest.mark.parametrize("arguments", [("-p", "hi", "--model", MODEL), ("token",)])
@pytest.mark.parametrize("place", [BEDROCK, VERTEX])
def test_another_purse_than_the_expected_one_gets_nothing(
    place: Place, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """B-05: neither a question nor a token for an account that was not declared."""
    with place.serve(tmp_path) as (server, variables):
        keystead(tmp_path, "expect", "organization=999900001111", **variables)
        done = keystead(tmp_path, *arguments, **variables)
        assert questions(server, place) == []
    assert (done.returncode, done.stdout) == (78, "")


MISSING: list[tuple[Place, str, str]] = [
    (BEDROCK, "AWS_REGION", "Set AWS_REGION"),
    (PLATFORM, "ANTHROPIC_AWS_WORKSPACE_ID", "Set ANTHROPIC_AWS_WORKSPACE_ID"),
    (VERTEX, "CLOUD_ML_REGION", "Set CLOUD_ML_REGION"),
    (FOUNDRY, "ANTHROPIC_FOUNDRY_BASE_URL", "Set ANTHROPIC_FOUNDRY_RESOURCE"),
    (BEDROCK, "AWS_ACCESS_KEY_ID", "aws sso login"),
    (VERTEX, "GOOGLE_APPLICATION_CREDENTIALS", "gcloud auth application-default login"),
    (FOUNDRY, "AZURE_POD_IDENTITY_AUTHORITY_HOST", "az login"),
]


@pytest.mark.parametrize(("place", "name", "fix"), MISSING, ids=[name for _, name, _ in MISSING])
def test_what_is_missing_is_named_before_the_question_is_sent(
    place: Place, name: str, fix: str, tmp_path: Path
) -> None:
    with place.serve(tmp_path) as (server, variables):
        # what a machine of that cloud would answer is not there either
        variables[name] = NOWHERE.get(name, "")
        done = keystead(tmp_path, "-p", "hi", "--model", place.model, **variables)
        assert questions(server, place) == []
    assert (done.returncode, done.stdout) == (78, "")
    assert fix in done.stderr


def test_no_model_is_guessed(tmp_path: Path) -> None:
    with VERTEX.serve(tmp_path) as (server, variables):
        done = keystead(tmp_path, "-p", "hi", **variables)
        assert questions(server, VERTEX) == []
    assert done.returncode == 78
    assert "No model is named, and Google Vertex AI has no list" in done.stderr
    assert "--model or ANTHROPIC_MODEL" in done.stderr


@pytest.mark.parametrize(
    ("place", "answer", "code", "said"),
    [
        (BEDROCK, (403, "application/json", {"message": "You may not invoke it"}), 77, "You may not invoke it"),
        (BEDROCK, (404, "application/json", {"message": "no such model"}), 78, "--model"),
        (BEDROCK, (500, "text/html", "<html>"), 75, "HTTP 500"),
        (BEDROCK, (200, "application/json", {}), 75, "did not stream"),
        (BEDROCK, (200, AMAZON_STREAM[1], b"noise" * 10), 75, "checksum"),
        (BEDROCK, (200, AMAZON_STREAM[1], b""), 75, "broke off"),
        (VERTEX, (429, "application/json", [{"error": {"code": 429, "message": "quota"}}]), 75, "quota"),
        (VERTEX, (401, "application/json", {"error": {"message": "no"}}), 4, "keystead status --verify"),
        (PLATFORM, (401, "application/json", {"message": "no"}), 4, "refused Claude Platform on AWS"),
    ],
)
def test_what_a_cloud_refuses_is_told_with_its_exit_code(
    place: Place, answer: Answer, code: int, said: str, tmp_path: Path
) -> None:
    with place.serve(tmp_path, **{place.route: answer}) as (_, variables):
        done = keystead(tmp_path, "-p", "hi", "--model", place.model, **variables)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "made-up" not in done.stderr


@pytest.mark.requirement("R-09 one renewal")
def test_a_refused_token_is_fetched_anew_once(tmp_path: Path) -> None:
    """It had been withdrawn before its end; the question is then answered."""
    tokens = iter(["withdrawn", "second", "third"])

    def fetch(_: Asked) -> Answer:
        return 200, "application/json", GOOGLE | {"access_token": next(tokens)}

    def answer(asked: Asked) -> Answer:
        return STREAM if asked.headers["authorization"] == "Bearer second" else (401, "text/plain", "")

    with VERTEX.serve(tmp_path, **{"POST /token": fetch, PREDICT: answer}) as (server, variables):
        done = keystead(tmp_path, "-p", "hi", "--model", VERTEX.model, **variables)
        assert len(questions(server, VERTEX)) == 2
    assert (done.returncode, done.stdout) == (0, "Hello there.\n")


def project(home: Path, variables: Mapping[str, str]) -> None:
    (home / ".claude").mkdir()
    (home / ".claude/settings.local.json").write_text(json.dumps({"env": variables}))


@pytest.mark.requirement("R-07 hostile repositories")
@pytest.mark.parametrize(
    ("place", "hostile"),
    [
        (BEDROCK, {"AWS_REGION": "evil.example/"}),
        (VERTEX, {"CLOUD_ML_REGION": "evil.example#"}),
        (VERTEX, {"CLOUD_ML_REGION": "127.0.0.1:9"}),
    ],
)
def test_a_project_cannot_make_a_host_out_of_a_region(place: Place, hostile: dict[str, str], tmp_path: Path) -> None:
    """It may choose the region, and the region is part of the address; nothing but a region passes."""
    with place.serve(tmp_path) as (server, variables):
        project(tmp_path, hostile)
        done = keystead(tmp_path, "-p", "hi", "--model", place.model, **variables)
        assert questions(server, place) == []
    assert (done.returncode, done.stdout) == (78, "")
    assert "Correct" in done.stderr


def test_a_project_chooses_no_address(tmp_path: Path) -> None:
    with BEDROCK.serve(tmp_path) as (server, variables), local_server({"*": AMAZON_STREAM}) as other:
        project(tmp_path, {"ANTHROPIC_BEDROCK_BASE_URL": other.url})
        done = keystead(tmp_path, "-p", "hi", "--model", MODEL, **variables)
        assert (len(questions(server, BEDROCK)), len(other.asked)) == (1, 0)
    assert done.returncode == 0
