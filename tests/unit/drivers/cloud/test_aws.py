"""The AWS chain, in its own process, against a real STS on loopback."""

import base64
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clouds import AWS_KEYS, NOWHERE, blackhole, signed_by
from local_server import Asked, local_server, make_certificate
from moto.server import ThreadedMotoServer

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials.cloud import CloudIdentity, Unsigned
from keystead.drivers import cloud
from keystead.drivers.cloud.aws import short_term_expiry
from keystead.errors import CloudNotReady, ServerUnreachable
from keystead.testing.environment import bare_environment

TOKEN_EXPIRED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error>
</ErrorResponse>"""


@pytest.fixture(scope="module")
def sts() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def obtain(
    root: Path, variables: Mapping[str, str], name: str = "bedrock", deadline: float = cloud.DEADLINE
) -> CloudIdentity:
    """Ask on a bare machine with these variables, on loopback only."""
    return cloud.obtain(name, bare_environment(root), NOWHERE | dict(variables), SYSTEM_CLOCK, deadline)


def aws_config(root: Path, text: str) -> None:
    directory = root / "home/.aws"
    directory.mkdir(parents=True)
    (directory / "config").write_text(text)


@pytest.mark.parametrize("name", ["bedrock", "aws", "mantle"])
def test_keys_are_proven_by_sts(name: str, sts: str, tmp_path: Path) -> None:
    """Account, principal and region are those of the answer; static keys do not end."""
    found = obtain(tmp_path, AWS_KEYS | {"AWS_ENDPOINT_URL_STS": sts}, name)
    assert (found.cloud, found.source, found.account, found.region) == (name, "env", "123456789012", "eu-west-1")
    assert found.principal is not None
    assert found.principal.startswith("arn:aws:sts::123456789012:")
    assert (found.proven, found.expires_at, found.notes) == (True, None, ())


def test_no_credentials_anywhere(tmp_path: Path) -> None:
    """One sentence and the fix."""
    with pytest.raises(CloudNotReady, match="AWS credentials were not found") as caught:
        obtain(tmp_path, {})
    assert caught.value.exit_code == 78
    assert caught.value.hint is not None
    assert "aws sso login" in caught.value.hint


def test_an_unknown_profile_is_named(tmp_path: Path) -> None:
    with pytest.raises(CloudNotReady, match="payments"):
        obtain(tmp_path, {"AWS_PROFILE": "payments"})


def test_credentials_that_sts_refuses(tmp_path: Path) -> None:
    """Present is not enough: what would fail at the first request fails now."""
    with local_server({"*": (403, "text/xml", TOKEN_EXPIRED)}) as server, pytest.raises(CloudNotReady) as caught:
        obtain(tmp_path, AWS_KEYS | {"AWS_ENDPOINT_URL_STS": server.url})
    assert "ExpiredToken" in caught.value.message
    assert "made-up-secret" not in str(caught.value) + str(caught.value.hint)


def test_an_sts_that_cannot_be_reached_proves_nothing(tmp_path: Path) -> None:
    """Behind a private endpoint Bedrock works and STS does not: it is said, and it does not stop anything."""
    found = obtain(tmp_path, AWS_KEYS | {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"})
    assert (found.proven, found.account) == (False, None)
    assert found.notes == ("AWS STS could not be asked (EndpointConnectionError)",)


def test_a_missing_region_is_noted(sts: str, tmp_path: Path) -> None:
    found = obtain(tmp_path, AWS_KEYS | {"AWS_REGION": "", "AWS_ENDPOINT_URL_STS": sts})
    assert found.notes == ("no region is set; set AWS_REGION",)


def test_a_profile_with_a_process_has_an_expiry_and_a_region(sts: str, tmp_path: Path) -> None:
    """The chain is the SDK's own: profile, process, and the end of what the process gave."""
    answer = {
        "Version": 1, "AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "s", "SessionToken": "t",
        "Expiration": "2100-01-01T00:00:00Z",
    }  # fmt: skip
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    aws_config(tmp_path, f"[profile team]\nregion = eu-north-1\ncredential_process = cat {tmp_path}/answer.json\n")
    found = obtain(tmp_path, {"AWS_PROFILE": "team", "AWS_ENDPOINT_URL_STS": sts})
    assert (found.source, found.region, found.expires_at) == ("custom-process", "eu-north-1", 4_102_444_800.0)


@pytest.mark.requirement("R-33 chain")
def test_a_credential_process_that_prompts_gets_no_input(tmp_path: Path) -> None:
    """It reads the end of the input at once, and what it complains about is passed on."""
    script = "import sys; print('no answer to prompt', file=sys.stderr); sys.exit(9 if sys.stdin.read() == '' else 0)"
    (tmp_path / "prompt.py").write_text(script)
    aws_config(tmp_path, f"[default]\ncredential_process = {sys.executable} {tmp_path}/prompt.py\n")
    with pytest.raises(CloudNotReady, match="no answer to prompt"):
        obtain(tmp_path, {})


@pytest.mark.requirement("R-33 chain")
def test_a_credential_process_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    """At the deadline the whole process group is gone: its end of the pipe closes."""
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    aws_config(tmp_path, f"[default]\ncredential_process = sh -c 'echo up > {fifo}; sleep 600 > {fifo}'\n")
    with pytest.raises(CloudNotReady, match="took longer than 3 s and was stopped"):
        obtain(tmp_path, {}, deadline=3)
    os.set_blocking(reader, True)
    assert os.read(reader, 100) in (b"up\n", b"")
    assert os.read(reader, 100) == b""  # nobody holds the other end any more
    os.close(reader)


@pytest.mark.requirement("R-33 chain")
def test_a_metadata_service_that_never_answers_costs_one_try_each(tmp_path: Path) -> None:
    """The blackhole of a machine outside the cloud: well within the deadline it counts as not there."""
    with blackhole() as address, pytest.raises(CloudNotReady, match="were not found"):
        obtain(tmp_path, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}"}, deadline=10)


def test_nothing_is_imported_from_the_project(sts: str, tmp_path: Path) -> None:
    """A clone with a file called botocore.py gets nothing (R-07)."""
    project = bare_environment(tmp_path).cwd
    (project / "botocore.py").write_text("open('owned', 'w')")
    (project / "keystead.py").write_text("open('owned', 'w')")
    assert obtain(tmp_path, AWS_KEYS | {"AWS_ENDPOINT_URL_STS": sts}).proven
    assert not (project / "owned").exists()


@pytest.mark.parametrize(
    ("status", "message", "outcome"),
    [
        (200, None, True),
        (403, "User: arn:… is not authorized to perform: bedrock:ListFoundationModels", True),
        (403, "Authentication failed: Please make sure your API Key is valid.", CloudNotReady),
        (503, "Service unavailable", ServerUnreachable),
    ],
)
def test_a_bedrock_key_is_proven_by_listing_models(
    status: int, message: str | None, outcome: object, tmp_path: Path
) -> None:
    """STS does not know these keys; to be known without permission to list is proof as well."""
    answer: object = {"modelSummaries": []} if message is None else {"message": message}
    certificate = make_certificate(tmp_path)
    variables = AWS_KEYS | {"AWS_BEARER_TOKEN_BEDROCK": "made-up-bedrock-key", "AWS_CA_BUNDLE": str(certificate)}
    with local_server({"GET /foundation-models": (status, "application/json", answer)}, certificate) as server:
        variables["AWS_ENDPOINT_URL_BEDROCK"] = server.url
        if isinstance(outcome, type):
            with pytest.raises(outcome):
                obtain(tmp_path, variables)
        else:
            found = obtain(tmp_path, variables)
            assert (found.proven, found.source) == (True, "AWS_BEARER_TOKEN_BEDROCK")
        assert {one.headers["authorization"] for one in server.asked} == {"Bearer made-up-bedrock-key"}


def short_term_key(signed: str, seconds: int) -> str:
    address = f"bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Date={signed}&X-Amz-Expires={seconds}&Version=1"
    return "bedrock-api-key-" + base64.b64encode(address.encode()).decode()


def test_a_short_term_key_that_has_ended_is_refused_without_asking(tmp_path: Path) -> None:
    with pytest.raises(CloudNotReady, match="has expired"):
        obtain(tmp_path, {"AWS_BEARER_TOKEN_BEDROCK": short_term_key("20250101T000000Z", 43200)})


@pytest.mark.parametrize(
    ("token", "end"),
    [
        (short_term_key("20250101T000000Z", 43200), 1_735_732_800.0),
        (short_term_key("yesterday", 43200), None),
        (short_term_key("20250101T000000Z", 10**30), None),
        ("bedrock-api-key-%%%", None),
        ("ABSKmade-up-long-term-key", None),
    ],
)
def test_the_end_of_a_short_term_key(token: str, end: float | None) -> None:
    assert short_term_expiry(token) == end


def test_a_platform_key_is_only_present(tmp_path: Path) -> None:
    """Nothing is asked about it, so nothing is claimed."""
    found = obtain(tmp_path, {"ANTHROPIC_AWS_API_KEY": "made-up", "AWS_REGION": "us-east-1"}, "aws")
    assert (found.source, found.proven) == ("ANTHROPIC_AWS_API_KEY", False)


def test_a_directory_that_is_gone_is_an_error_of_ours(tmp_path: Path) -> None:
    """Never a traceback."""
    environment = bare_environment(tmp_path)
    environment.cwd.rmdir()
    with pytest.raises(CloudNotReady, match="could not be started: no such file or directory"):
        cloud.obtain("bedrock", environment, NOWHERE, SYSTEM_CLOCK)


def test_a_null_byte_in_a_variable_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CloudNotReady, match="could not be started"):
        obtain(tmp_path, {"AWS_PROFILE": "a\0b"})


@pytest.mark.parametrize("printed", ["not json", "[]", "{}", '{"Version": 2}', '{"Version": 1, "AccessKeyId": 7}'])
def test_a_credential_process_that_prints_something_else(printed: str, tmp_path: Path) -> None:
    """Whatever it is, it is one sentence and the fix, and it is not repeated."""
    (tmp_path / "printed").write_text(printed)
    aws_config(tmp_path, f"[default]\ncredential_process = cat {tmp_path}/printed\n")
    with pytest.raises(CloudNotReady) as caught:
        obtain(tmp_path, {})
    assert caught.value.hint is not None


@pytest.mark.parametrize("text", ["[profile", "[default]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = gone\n"])
def test_a_broken_configuration_file(text: str, tmp_path: Path) -> None:
    aws_config(tmp_path, text)
    with pytest.raises(CloudNotReady, match="AWS credentials") as caught:
        obtain(tmp_path, {})
    assert caught.value.hint is not None


URL = "http://127.0.0.1:1/model/m%3A0/invoke?beta=true"
BODY = '{"messages": []}'


def signed(root: Path, variables: Mapping[str, str], url: str = URL) -> Asked:
    """Return a request as it would arrive, signed with the credentials of a bare machine with these variables."""
    covered = {"content-type": "application/json", "anthropic-workspace-id": "w"}
    digest = hashlib.sha256(BODY.encode()).hexdigest()
    unsigned = Unsigned("POST", url, covered, digest, "bedrock", "eu-west-1")
    bare = bare_environment(root)
    found = cloud.sign("bedrock", bare, NOWHERE | dict(variables), SYSTEM_CLOCK, unsigned)
    assert "made-up" not in repr(found)
    parts = urlsplit(url)
    headers = {"host": parts.netloc, **covered} | {name: value.reveal() for name, value in found.items()}
    return Asked("POST", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers, BODY)


def test_a_signature_is_what_aws_would_compute(tmp_path: Path) -> None:
    """Over the address with its query, the headers that matter, and the hash of a body that the signer never saw."""
    asked = signed(tmp_path, AWS_KEYS)
    assert signed_by(asked) == ("AKIAEXAMPLE", "eu-west-1", "bedrock")
    for changed in (replace(asked, body="other"), replace(asked, path="/other"), replace(asked, method="PUT")):
        with pytest.raises(AssertionError):
            signed_by(changed)


def test_the_token_of_a_session_is_part_of_the_signature(tmp_path: Path) -> None:
    asked = signed(tmp_path, AWS_KEYS | {"AWS_SESSION_TOKEN": "made-up-session"})
    assert asked.headers["x-amz-security-token"] == "made-up-session"
    assert signed_by(asked)[0] == "AKIAEXAMPLE"


def test_nothing_is_signed_without_credentials(tmp_path: Path) -> None:
    with pytest.raises(CloudNotReady, match="AWS credentials were not found"):
        signed(tmp_path, {})


@pytest.mark.requirement("R-33 once")
@pytest.mark.parametrize("writable", [True, False])
def test_the_credentials_of_a_role_are_kept_until_they_end(writable: bool, sts: str, tmp_path: Path) -> None:
    """Asked for once, in files that nobody else can read; where nothing can be written they are asked for again."""
    aws_config(
        tmp_path,
        "[profile role]\nrole_arn = arn:aws:iam::111122223333:role/agent\nsource_profile = base\n"
        "[profile base]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = made-up\n",
    )
    state = bare_environment(tmp_path).state_dir
    if not writable:
        state.write_text("a file where the directory should be")
    variables = {"AWS_PROFILE": "role", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_STS": sts}
    first = signed(tmp_path, variables)
    assert first.headers["x-amz-security-token"]
    variables["AWS_ENDPOINT_URL_STS"] = "http://127.0.0.1:9"
    if writable:
        again = signed(tmp_path, variables)
        assert again.headers["x-amz-security-token"] == first.headers["x-amz-security-token"]
        assert [one.stat().st_mode & 0o777 for one in (state / "aws-roles").iterdir()] == [0o600]
    else:
        with pytest.raises(ServerUnreachable):
            signed(tmp_path, variables)
