"""Where the clouds' Messages APIs are, by region, project and resource."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from keystead.credentials.cloud import CloudIdentity
from keystead.errors import CloudNotReady
from keystead.sources import cloud_route
from keystead.sources.cloud import CLOUDS
from keystead.sources.cloud_route import Route
from keystead.sources.configuration import Configuration
from keystead.testing.machine import Machine


def find(root: Path, name: str, variables: Mapping[str, str], **found: str) -> Route:
    configuration = Configuration.read(Machine(root).environment(**variables))
    cloud_route.check(CLOUDS[name], configuration)
    return cloud_route.find(CLOUDS[name], CloudIdentity(name, "somewhere", **found), configuration)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "variables", "base"),
    [
        ("bedrock", {"AWS_REGION": "eu-west-1"}, "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        ("mantle", {"AWS_REGION": "eu-west-1"}, "https://bedrock-mantle.eu-west-1.api.aws/anthropic"),
        ("aws", {"AWS_REGION": "eu-west-1", "ANTHROPIC_AWS_WORKSPACE_ID": "w"},
         "https://aws-external-anthropic.eu-west-1.api.aws"),
        ("vertex", {"CLOUD_ML_REGION": "europe-west1"}, "https://europe-west1-aiplatform.googleapis.com/v1"),
        ("vertex", {"CLOUD_ML_REGION": "global"}, "https://aiplatform.googleapis.com/v1"),
        ("vertex", {"CLOUD_ML_REGION": "eu"}, "https://aiplatform.eu.rep.googleapis.com/v1"),
        ("foundry", {"ANTHROPIC_FOUNDRY_RESOURCE": "team"}, "https://team.services.ai.azure.com/anthropic"),
        ("foundry", {"ANTHROPIC_FOUNDRY_RESOURCE": "team", "ANTHROPIC_FOUNDRY_BASE_URL": "https://f.example/x/"},
         "https://f.example/x"),
        ("bedrock", {"AWS_REGION": "r", "ANTHROPIC_BEDROCK_BASE_URL": "http://127.0.0.1:1/"}, "http://127.0.0.1:1"),
    ],
)  # fmt: skip
def test_the_address_of_a_cloud(name: str, variables: dict[str, str], base: str, tmp_path: Path) -> None:
    assert find(tmp_path, name, variables, account="team").base == base


def test_what_the_clouds_own_sdk_found_fills_in(tmp_path: Path) -> None:
    """The region of the profile and the project of the credentials; a variable comes first."""
    assert find(tmp_path / "a", "bedrock", {}, region="eu-north-1").region == "eu-north-1"
    found = find(tmp_path / "b", "vertex", {"ANTHROPIC_VERTEX_PROJECT_ID": "p"}, region="r", account="other")
    assert (found.project, found.region) == ("p", "r")


@pytest.mark.parametrize(
    ("name", "variables", "said"),
    [
        ("bedrock", {}, "no region is named"),
        ("bedrock", {"AWS_REGION": "evil.example/"}, "cannot be part of an address"),
        ("bedrock", {"AWS_REGION": "eu-west-1\n"}, "cannot be part of an address"),
        ("bedrock", {"AWS_REGION": "-"}, "cannot be part of an address"),
        ("bedrock", {"AWS_REGION": "r", "ANTHROPIC_BEDROCK_BASE_URL": "b.example"}, "is not an address"),
        ("bedrock", {"AWS_REGION": "r", "ANTHROPIC_BEDROCK_BASE_URL": "https://b.example/?x"}, "a query"),
        ("bedrock", {"AWS_REGION": "r", "ANTHROPIC_BEDROCK_BASE_URL": "http://b.example"}, "starts with http://"),
        ("aws", {"AWS_REGION": "r"}, "No workspace is named"),
        ("aws", {"AWS_REGION": "r", "ANTHROPIC_AWS_WORKSPACE_ID": "a\nb: c"}, "not the id of a workspace"),
        ("vertex", {"CLOUD_ML_REGION": "r"}, "No Google Cloud project is named"),
        ("foundry", {}, "No Foundry resource is named"),
        ("foundry", {"ANTHROPIC_FOUNDRY_RESOURCE": "evil.example/"}, "cannot be part of an address"),
    ],
)
def test_what_is_missing_or_cannot_be(name: str, variables: dict[str, str], said: str, tmp_path: Path) -> None:
    """With the variable to set, and not as an address that nobody meant (R-07)."""
    with pytest.raises(CloudNotReady, match=said) as caught:
        find(tmp_path, name, variables)
    assert caught.value.hint is not None
