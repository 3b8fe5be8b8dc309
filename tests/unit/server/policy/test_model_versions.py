"""``deniedModels`` and exact matching are read by their documented rules, and no spelling gets past them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.policy.managed_settings import models
from keystead.server.policy.model_access import ModelAccess, access_to
from keystead.server.policy.model_versions import version_of

OPUS_55 = "claude-opus-5-5"


@pytest.mark.parametrize(
    ("model", "families", "numbers"),
    [
        ("claude-opus-5-5", {"opus"}, (5, 5)),
        ("claude-opus-5-20260801", {"opus"}, (5,)),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", {"opus"}, (4, 1)),
        ("arn:aws:bedrock:eu-1:12:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", {"sonnet"}, (4, 5)),
        ("claude-opus-4-1@20250805", {"opus"}, (4, 1)),
        ("claude-3-5-sonnet-20241022", {"sonnet"}, (3, 5)),
        ("claude-3-opus-20240229", {"opus"}, (3,)),
        ("claude-opus-latest", {"opus"}, ()),
        ("opus-sonnet-5", {"opus", "sonnet"}, ()),
        ("our-deployment", set(), ()),
    ],
)
def test_a_name_says_which_version_of_which_family(model: str, families: set[str], numbers: tuple[int, ...]) -> None:
    assert version_of(model) == (frozenset(families), numbers)


@pytest.mark.parametrize(
    ("entry", "model"),
    [
        ("opus", "claude-opus-4-6"),
        ("OPUS", "claude-3-opus-20240229"),
        (OPUS_55, OPUS_55),
        (OPUS_55, f"{OPUS_55}-20260925"),
        (OPUS_55, f"{OPUS_55}[1m]"),
        (OPUS_55, f"us.anthropic.{OPUS_55}-20260925-v1:0"),
        (OPUS_55, f"{OPUS_55}@20260925"),
        (OPUS_55, "Claude-Opus-5-5"),
        (OPUS_55, "claude-opus-latest"),
        (OPUS_55, "opus-sonnet-5"),
        (f"{OPUS_55}-20260925", OPUS_55),
        (f"{OPUS_55}[1m]", OPUS_55),
        ("opus-5-5", OPUS_55),
        ("claude-opus-5", OPUS_55),
        ("claude-opus-5", "claude-opus-5"),
        ("claude-opus-5-0", "claude-opus-5-20260801"),
        ("our-deployment", "Our-Deployment"),
        ("our-deployment", "our-deployment-2"),
        ("our-deployment", "our\u2011deployment"),
        ("claude-opus-5", "arn:aws:bedrock:eu-1:12:application-inference-profile/a1b2c3"),
        ("our-deployment", "ARN:aws:bedrock:eu-1:12:provisioned-model/a1b2c3"),
    ],
)
def test_what_an_entry_denies(entry: str, model: str) -> None:
    assert not ModelAccess(None, denied=[entry]).allows(model)
    assert not ModelAccess(["opus", "sonnet", model], denied=[entry]).allows(model)


@pytest.mark.parametrize(
    ("entry", "model"),
    [
        (OPUS_55, "claude-opus-5"),
        (OPUS_55, "claude-opus-5-50"),
        (OPUS_55, "claude-opus-4-5-20250929"),
        (OPUS_55, "claude-sonnet-5-5"),
        ("claude-opus-5-0", OPUS_55),
        ("claude-opus-4", "claude-opus-5"),
        ("our-deployment", "our-deployments"),
        ("best", "claude-opus-5"),
        ("default", "default"),
        (" ", "claude-opus-5"),
        ("best", "arn:aws:bedrock:eu-1:12:application-inference-profile/a1b2c3"),
        (OPUS_55, "arn:aws:bedrock:eu-1:12:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ],
)
def test_what_it_leaves_alone(entry: str, model: str) -> None:
    assert ModelAccess(None, denied=[entry]).allows(model)


@pytest.mark.parametrize(
    ("entries", "model", "allowed"),
    [
        (["claude-opus-5"], "claude-opus-5", True),
        (["claude-opus-5"], "claude-opus-5-20260801", True),
        (["claude-opus-5"], "claude-opus-5@20260801", True),
        (["claude-opus-5"], "claude-opus-5-20260801-v1:0", True),
        (["claude-opus-5"], "claude-opus-5[1m]", True),
        (["opus-5"], "claude-opus-5", True),
        (["opus"], OPUS_55, True),
        (["claude-opus-5"], OPUS_55, False),
        (["claude-opus-5"], "claude-opus-5-latest", False),
        (["our-deployment"], "our-deployment-2", False),
        (["best"], "claude-opus-5", False),
        (["opusplan"], "claude-sonnet-5", False),
        ([], "claude-opus-5", False),
    ],
)
def test_exact_means_that_version_and_its_dated_releases(entries: list[str], model: str, allowed: bool) -> None:
    assert ModelAccess(entries, exact=True).allows(model) is allowed


@given(st.lists(st.sampled_from(["opus", OPUS_55, "claude-opus-5", "sonnet", "best"])), st.text(), st.booleans())
def test_denying_and_matching_exactly_only_take_away(entries: list[str], model: str, exact: bool) -> None:
    usual = ModelAccess(entries)
    for narrower in (ModelAccess(entries, exact=exact), ModelAccess(entries, denied=entries)):
        assert usual.allows(model) or not narrower.allows(model)
    assert not ModelAccess(entries, denied=["opus", "fable", "haiku", "sonnet"]).allows(model) or model in entries


def test_a_document_says_all_three() -> None:
    assert models({"env": {}}) is None
    assert models({"deniedModels": []}) is None
    assert models({"availableModelsMatch": "exact"}) is None
    rules = models({"availableModels": ["claude-opus-5"], "availableModelsMatch": "exact", "deniedModels": ["haiku"]})
    assert rules is not None
    assert not access_to(rules).allows(OPUS_55)
    assert access_to(rules).denies("claude-haiku-4-5")
    only_denied = models({"deniedModels": ["haiku"]})
    assert only_denied is not None
    assert access_to(only_denied).allows("anything-else")
    odd = models({"availableModels": ["claude-opus-5"], "availableModelsMatch": ["exact"]})
    assert odd is not None
    assert odd.exact
    with pytest.raises(ValueError, match="deniedModels"):
        models({"deniedModels": "haiku"})
