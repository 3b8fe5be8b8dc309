"""The list of models is read by its documented rules, and no name gets past it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.policy.model_access import ModelAccess
from keystead.server.policy.model_versions import FAMILIES, families_of

SONNET = "claude-sonnet-4-5"
DATED = "claude-sonnet-4-5-20250929"


@pytest.mark.parametrize(
    ("entries", "model"),
    [
        ([DATED], DATED),
        ([SONNET], SONNET),
        ([SONNET], DATED),
        ([SONNET], "claude-sonnet-4-5@20250929"),
        (["sonnet-4-5"], DATED),
        (["sonnet-4-5"], "sonnet-4-5"),
        (["sonnet"], DATED),
        (["sonnet"], "claude-3-5-sonnet-20241022"),
        (["sonnet"], "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (["sonnet"], "sonnet"),
        (["Sonnet"], DATED),
        ([" sonnet "], DATED),
        (["sonnet[1m]"], DATED),
        (["sonnet"], f"{DATED}[1m]"),
        ([f"{SONNET}[1M]"], f"{DATED}[1m]"),
        ([f"{SONNET}[1m]"], DATED),
        (["opusplan"], "claude-opus-4-6"),
        (["opusplan"], DATED),
        (["best"], "claude-opus-4-6"),
        (["best"], "claude-fable-5"),
        (["haiku", SONNET], "claude-haiku-4-5"),
        (["our-deployment"], "our-deployment"),
        (["our-deployment"], "our-deployment-2"),
        (["Ünser-Modell"], "Ünser-Modell"),
        (["opus", "haiku"], "opus-haiku-blend"),
    ],
)
def test_what_an_entry_allows(entries: list[str], model: str) -> None:
    assert ModelAccess(entries).allows(model)


@pytest.mark.parametrize(
    ("entries", "model"),
    [
        ([], DATED),
        ([""], ""),
        (["  "], DATED),
        (["default"], "default"),
        (["default"], DATED),
        ([DATED], SONNET),
        ([SONNET], "claude-sonnet-4-50"),
        ([SONNET], "claude-sonnet-4"),
        ([SONNET], "Claude-Sonnet-4-5"),
        ([SONNET], "sonnet"),
        ([SONNET], f" {SONNET}"),
        ([SONNET], f"{SONNET}\n"),
        ([SONNET], f"{SONNET}-\u200b"),
        ([SONNET], f"{SONNET}- x"),
        (["sonnet"], "claude-opus-4-6"),
        (["sonnet"], "claude-opus-4-6-sonnet"),
        (["sonnet"], "claude-sonnets-4"),
        (["sonnet"], "cla\u200bude-sonnet-4-5"),
        (["sonnet"], "claude-\uff53\uff4f\uff4e\uff4e\uff45\uff54-4-5"),
        (["sonnet", SONNET], "claude-sonnet-4-6"),
        (["sonnet", "sonnet-4-5"], "claude-sonnet-4-6"),
        (["opusplan", "claude-opus-4-6"], "claude-opus-4-5"),
        (["opusplan"], "opusplan"),
        (["best"], "best"),
        (["haiku", "us.anthropic.claude-haiku-4-5"], "claude-haiku-4-5"),
    ],
)
def test_what_no_entry_allows(entries: list[str], model: str) -> None:
    assert not ModelAccess(entries).allows(model)


ENTRY = st.one_of(st.sampled_from([*FAMILIES, "default", "best", SONNET, DATED, "haiku-4-5", "gpt-x"]), st.text())
MODEL = st.one_of(st.sampled_from([SONNET, DATED, "claude-haiku-4-5", "claude-opus-4-6", "gpt-x-2"]), st.text())


@given(st.lists(ENTRY, max_size=4), MODEL)
def test_only_an_entry_that_is_its_beginning_or_its_family_allows_a_model(entries: list[str], model: str) -> None:
    if not ModelAccess(entries).allows(model):
        return
    bare = [entry.strip().removesuffix("[1m]").removesuffix("[1M]") for entry in entries]
    families = {one for entry in bare for one in (families_of(entry.lower()) or {entry.lower()})}
    assert any(entry and entry in model for entry in bare) or (families_of(model) and families & {"best", *FAMILIES})


@given(MODEL)
def test_an_empty_list_allows_nothing(model: str) -> None:
    assert not ModelAccess([]).allows(model)
