"""``run``, ``status --verify`` and ``doctor`` on a machine with a cloud switched on."""

import json
import os
import sys
from pathlib import Path

import pytest
from clouds import AWS_KEYS, CALLER, keystead
from local_server import local_server

PRINT = "import json, os; print(json.dumps(dict(os.environ)))"
SWITCH = {"CLAUDE_CODE_USE_BEDROCK": "1"}


def test_run_without_credentials_starts_nothing(tmp_path: Path) -> None:
    """S-09: at launch, with the fix, not at the first request."""
    done = keystead(tmp_path, "run", "--", "touch", "started", **SWITCH)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("keystead: AWS credentials were not found")
    assert "fix: Run `aws sso login`" in done.stderr
    assert not (tmp_path / "started").exists()


def test_run_with_refused_credentials_starts_nothing(tmp_path: Path) -> None:
    refusal = (
        "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no such key</Message></Error></ErrorResponse>"
    )
    with local_server({"*": (403, "text/xml", refusal)}) as sts:
        variables = SWITCH | AWS_KEYS | {"AWS_ENDPOINT_URL_STS": sts.url}
        done = keystead(tmp_path, "run", "--", "touch", "started", **variables)
    assert done.returncode == 78
    assert "InvalidClientTokenId" in done.stderr
    assert "made-up-secret" not in done.stderr
    assert not (tmp_path / "started").exists()


def test_run_gives_the_clouds_own_variables_and_no_other_credential(tmp_path: Path) -> None:
    """Also those that stand in the user's settings; the addresses and keys of every other way are taken away."""
    settings = tmp_path / ".claude/settings.json"
    settings.parent.mkdir()
    settings.write_text(
        json.dumps({"env": {"CLAUDE_CODE_USE_BEDROCK": "true", "ANTHROPIC_BEDROCK_BASE_URL": "http://b"}})
    )
    with local_server({"*": CALLER}) as sts:
        done = keystead(
            tmp_path, "run", "--", sys.executable, "-c", PRINT, **AWS_KEYS, AWS_ENDPOINT_URL_STS=sts.url,
            ANTHROPIC_API_KEY="key", ANTHROPIC_BASE_URL="http://127.0.0.1:9", ANTHROPIC_AUTH_TOKEN="token",
            ANTHROPIC_FOUNDRY_API_KEY="foundry", CLAUDE_CODE_USE_VERTEX="1", OTHER="kept",
        )  # fmt: skip
    child = json.loads(done.stdout)
    assert AWS_KEYS.items() <= child.items()
    assert (child["CLAUDE_CODE_USE_BEDROCK"], child["ANTHROPIC_BEDROCK_BASE_URL"]) == ("true", "http://b")
    assert child["OTHER"] == "kept"
    taken = {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_FOUNDRY_API_KEY"}
    assert not (taken | {"CLAUDE_CODE_USE_VERTEX"}) & child.keys()


def test_run_goes_on_with_a_note_when_sts_cannot_be_asked(tmp_path: Path) -> None:
    """Not reached is not refused."""
    done = keystead(tmp_path, "run", "--", "echo", "started", **SWITCH, **AWS_KEYS)
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "AWS STS could not be asked" in done.stderr


def test_status_verify_names_account_and_principal(tmp_path: Path) -> None:
    with local_server({"*": CALLER}) as sts:
        variables = SWITCH | AWS_KEYS | {"AWS_ENDPOINT_URL_STS": sts.url}
        done = keystead(tmp_path, "status", "--verify", "--json", **variables)
        keystead(tmp_path, "status", "--verify", **variables)
        assert len(sts.asked) == 2  # each asks now
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["verification"]["state"] == "verified"
    assert document["verification"]["reason"] == "Amazon Bedrock accepts it; it comes from env; region eu-west-1"
    account = document["winner"]["account"]
    assert (account["id"], account["organization"]["id"]) == ("arn:aws:iam::111122223333:user/ada", "111122223333")


def test_status_verify_says_what_a_launch_would_say(tmp_path: Path) -> None:
    done = keystead(tmp_path, "status", "--verify", "--json", **SWITCH)
    verification = json.loads(done.stdout)["verification"]
    assert (done.returncode, verification["state"]) == (4, "rejected")
    assert "AWS credentials were not found" in verification["reason"]
    assert "aws sso login" in verification["warnings"][0]


def test_status_verify_does_not_claim_what_nobody_asked(tmp_path: Path) -> None:
    variables = {
        "CLAUDE_CODE_USE_FOUNDRY": "1",
        "ANTHROPIC_FOUNDRY_API_KEY": "made-up",
        "ANTHROPIC_FOUNDRY_RESOURCE": "r",
    }
    done = keystead(tmp_path, "status", "--verify", "--json", **variables)
    assert (done.returncode, json.loads(done.stdout)["verification"]["state"]) == (75, "unverifiable")


def test_status_alone_asks_nobody(tmp_path: Path) -> None:
    with local_server({"*": CALLER}) as sts:
        keystead(tmp_path, "status", **SWITCH, **AWS_KEYS, AWS_ENDPOINT_URL_STS=sts.url)
        assert sts.asked == []


def test_without_the_sdk_traces_decide(tmp_path: Path) -> None:
    """Nothing at hand stops; something at hand goes on, with a note of what would check it."""
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow/botocore.py").write_text("raise ModuleNotFoundError('no', name='botocore')")
    variables = SWITCH | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "shadow")])}
    stopped = keystead(tmp_path, "run", "--", "echo", "started", **variables)
    assert (stopped.returncode, stopped.stdout) == (78, "")
    went_on = keystead(tmp_path, "run", "--", "echo", "started", **variables, **AWS_KEYS)
    assert (went_on.returncode, went_on.stdout) == (0, "started\n")
    assert "pip install 'keystead[bedrock]'" in stopped.stderr
    assert "pip install 'keystead[bedrock]'" in went_on.stderr


@pytest.mark.requirement("R-33 probe")
def test_the_doctor_asks_the_cloud_only_over_the_network(tmp_path: Path) -> None:
    with local_server({"*": CALLER}) as sts:
        variables = SWITCH | AWS_KEYS | {"AWS_ENDPOINT_URL_STS": sts.url}
        keystead(tmp_path, "doctor", "--only", "cloud", **variables)
        assert sts.asked == []
        done = keystead(tmp_path, "doctor", "--only", "cloud", "--network", "--json", **variables)
    (check,) = json.loads(done.stdout)["checks"]
    assert done.returncode == 0
    assert "arn:aws:iam::111122223333:user/ada" in check["findings"][0]["message"]


@pytest.mark.requirement("R-33 probe")
@pytest.mark.parametrize(
    ("switch", "fix"),
    [
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, "aws sso login"),
        ({"CLAUDE_CODE_USE_VERTEX": "1"}, "gcloud auth application-default login"),
        ({"CLAUDE_CODE_USE_FOUNDRY": "1", "ANTHROPIC_FOUNDRY_RESOURCE": "r"}, "az login"),
    ],
)
def test_the_doctor_says_what_each_cloud_needs(switch: dict[str, str], fix: str, tmp_path: Path) -> None:
    done = keystead(tmp_path, "doctor", "--only", "cloud", "--network", "--json", **switch)
    (check,) = json.loads(done.stdout)["checks"]
    assert done.returncode == 78
    assert fix in check["findings"][0]["fix"]


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        ("organization=111122223333", 0),
        ("organization=999900001111", 78),
        ("account=arn:aws:iam::111122223333:user/ada", 0),
        ("account=arn:aws:iam::111122223333:user/eve", 78),
    ],
)
def test_another_account_than_the_expected_one_starts_nothing(expected: str, code: int, tmp_path: Path) -> None:
    """B-05 for a cloud: who pays is known once it was asked, and that is before the program starts."""
    with local_server({"*": CALLER}) as sts:
        variables = SWITCH | AWS_KEYS | {"AWS_ENDPOINT_URL_STS": sts.url}
        keystead(tmp_path, "expect", expected, **variables)
        done = keystead(tmp_path, "run", "--", "echo", "started", **variables)
    assert (done.returncode, done.stdout) == (code, "" if code else "started\n")
    assert (f"expects {expected}" in done.stderr) is bool(code)


def test_an_account_that_nobody_could_name_is_not_the_expected_one(tmp_path: Path) -> None:
    keystead(tmp_path, "expect", "organization=111122223333", **SWITCH, **AWS_KEYS)
    done = keystead(tmp_path, "run", "--", "echo", "started", **SWITCH, **AWS_KEYS)
    assert (done.returncode, done.stdout) == (78, "")
    assert "its organization is not known" in done.stderr
