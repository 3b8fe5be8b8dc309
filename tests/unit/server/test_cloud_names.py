"""The clouds' names for models: what they become, that nothing is sent out of its geography, and the way back."""

import pytest

from keystead.server import cloud_names
from keystead.server.gateway.clients.names import vendors
from keystead.server.upstream_shape import Kind

SONNET = "claude-sonnet-4-5-20250929"


@pytest.mark.parametrize(
    ("kind", "region", "profile", "name", "sent"),
    [
        (Kind.BEDROCK, "us-east-1", "", SONNET, f"us.anthropic.{SONNET}-v1:0"),
        (Kind.BEDROCK, "us-west-2", "", "claude-sonnet-4-5", f"us.anthropic.{SONNET}-v1:0"),
        (Kind.BEDROCK, "eu-central-1", "", "claude-sonnet-4-5", f"eu.anthropic.{SONNET}-v1:0"),
        (Kind.BEDROCK, "ap-northeast-1", "", "claude-sonnet-4-5", f"jp.anthropic.{SONNET}-v1:0"),
        (Kind.BEDROCK, "ap-southeast-2", "", "claude-sonnet-4-5", f"au.anthropic.{SONNET}-v1:0"),
        (Kind.BEDROCK, "ap-northeast-1", "", "claude-sonnet-4-0", "apac.anthropic.claude-sonnet-4-20250514-v1:0"),
        (Kind.BEDROCK, "eu-west-1", "", "claude-opus-4-6", "eu.anthropic.claude-opus-4-6-v1"),
        (Kind.BEDROCK, "eu-west-1", "", "claude-haiku-5-5", "eu.anthropic.claude-haiku-5-5"),
        (Kind.BEDROCK, "eu-west-1", "", "claude-opus-4-1", "anthropic.claude-opus-4-1-20250805-v1:0"),
        (Kind.BEDROCK, "ca-central-1", "", "claude-opus-5-5", "anthropic.claude-opus-5-5"),
        (Kind.BEDROCK, "us-gov-west-1", "", "claude-opus-5-5", "anthropic.claude-opus-5-5"),
        (Kind.BEDROCK, "us-gov-west-1", "us-gov", "claude-opus-5-5", "us-gov.anthropic.claude-opus-5-5"),
        (Kind.BEDROCK, "ca-central-1", "us", "claude-opus-5-5", "us.anthropic.claude-opus-5-5"),
        (Kind.BEDROCK, "eu-west-1", "global", "claude-opus-5-5", "global.anthropic.claude-opus-5-5"),
        (Kind.BEDROCK, "eu-west-2", "region", "claude-sonnet-4-6", "anthropic.claude-sonnet-4-6"),
        (Kind.VERTEX, "global", "", SONNET, "claude-sonnet-4-5@20250929"),
        (Kind.VERTEX, "europe-west1", "", "claude-haiku-4-5", "claude-haiku-4-5@20251001"),
        (Kind.FOUNDRY, "", "", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
    ],
)
def test_a_name_becomes_the_clouds(kind: Kind, region: str, profile: str, name: str, sent: str) -> None:
    assert cloud_names.names(kind, region, profile)[name] == sent
    assert cloud_names.at(kind, region, profile)[name].why


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.VERTEX, "claude-opus-5-5"),
        (Kind.VERTEX, "claude-sonnet-4-5@20250929"),
        (Kind.FOUNDRY, "claude-opus-5-5"),
        (Kind.FOUNDRY, "claude-haiku-4-5"),
        (Kind.FOUNDRY, "claude-opus-4-0"),
        (Kind.BEDROCK, "claude-opus-99"),
        (Kind.BEDROCK, f"us.anthropic.{SONNET}-v1:0"),
        (Kind.BEDROCK, "sonnet"),
        (Kind.ANTHROPIC, SONNET),
        (Kind.AWS, SONNET),
        (Kind.MESSAGES, SONNET),
        (Kind.OPENAI, SONNET),
    ],
)
def test_what_is_the_same_there_or_not_known_goes_as_it_is(kind: Kind, name: str) -> None:
    assert name not in cloud_names.names(kind, "us-east-1", "")


REGIONS = {
    "us-east-1": {"us"},
    "us-gov-west-1": set(),
    "ca-central-1": set(),
    "eu-central-1": {"eu"},
    "eu-west-2": {"eu"},
    "ap-northeast-1": {"jp", "apac"},
    "ap-southeast-2": {"au", "apac"},
    "ap-south-1": {"apac"},
    "sa-east-1": set(),
    "me-central-1": set(),
    "somewhere-1": set(),
}


@pytest.mark.parametrize("region", REGIONS)
def test_without_a_choice_no_request_leaves_its_geography(region: str) -> None:
    sent = cloud_names.names(Kind.BEDROCK, region, "").values()
    assert {one.partition("anthropic.")[0].rstrip(".") for one in sent} - {""} <= REGIONS[region]


@pytest.mark.parametrize("profile", cloud_names.PROFILES)
@pytest.mark.parametrize("kind", [Kind.BEDROCK, Kind.VERTEX, Kind.FOUNDRY])
def test_a_clouds_name_is_the_same_model_on_the_way_back_and_is_never_renamed(kind: Kind, profile: str) -> None:
    for region in REGIONS:
        known = cloud_names.names(kind, region, profile)
        for name, sent in known.items():
            again = cloud_names.names(Kind.BEDROCK, "us-east-1", "region")
            back = vendors(sent)
            assert again[back] == again[name], (name, sent)
            assert sent not in known


def test_each_name_stands_for_one_model() -> None:
    listed = [name for model in cloud_names._MODELS for name in model.names]
    assert len(listed) == len(set(listed))
    assert all(prefix in cloud_names.PROFILES for model in cloud_names._MODELS for prefix in model.profiles)
