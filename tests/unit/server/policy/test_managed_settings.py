"""Managed settings are matched and merged by the documented rules, and a document that will not do is named."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.policy.managed_settings import (
    LARGEST,
    ZERO_RETENTION,
    Match,
    MemberFacts,
    Policy,
    delivery,
    merge,
    models,
    problems,
)
from keystead.server.policy.model_access import ModelRules

ADA = MemberFacts(frozenset({"grp_dev", "grp_all"}), "example.com")
BASE = Policy("pol_base", "Everybody", Match(), {"availableModels": ["small"], "permissions": {"deny": ["Read"]}})
DEVELOPERS = Policy(
    "pol_dev",
    "Developers",
    Match(frozenset({"grp_dev"})),
    {"availableModels": ["large"], "permissions": {"deny": ["W"]}},
)
PARTNERS = Policy("pol_partner", "Partners", Match(email_domain="Partner.example"), {"availableModels": []})


def given_to(*policies: Policy, member: MemberFacts = ADA) -> Any:
    found = delivery(policies, member)
    assert found is not None
    return found.settings


def test_no_policy_and_an_empty_policy_differ() -> None:
    assert delivery([], ADA) is None
    assert delivery([PARTNERS], ADA) is None
    empty = delivery([Policy("pol_1", "Empty", Match(), {})], ADA)
    assert empty is not None
    assert json.loads(empty.body)["settings"] == {}


def test_the_first_that_matches_is_laid_over_the_base_wherever_the_base_stands() -> None:
    second = Policy("pol_2", "All", Match(frozenset({"grp_all"})), {"model": "never"})
    wanted = {"availableModels": ["large"], "permissions": {"deny": ["Read", "W"]}}
    assert given_to(DEVELOPERS, BASE, second) == wanted
    assert given_to(BASE, DEVELOPERS, second) == wanted
    assert given_to(BASE, PARTNERS) == BASE.settings


def test_group_and_domain_must_both_hold_and_a_domain_is_read_in_any_case() -> None:
    both = Match(frozenset({"grp_dev"}), "EXAMPLE.com")
    assert both.holds(ADA)
    assert not both.holds(MemberFacts(frozenset({"grp_dev"}), "example.org"))
    assert not both.holds(MemberFacts(frozenset(), "example.com"))


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"availableModels": ["a"]}, {"availableModels": []}, {"availableModels": []}),
        ({"deniedMcpServers": [1]}, {"deniedMcpServers": [2]}, {"deniedMcpServers": [1, 2]}),
        ({"hooks": {"Stop": [1]}}, {"hooks": {"Stop": [2], "Start": [3]}}, {"hooks": {"Stop": [1, 2], "Start": [3]}}),
        ({"env": {"A": "1", "B": "1"}}, {"env": {"B": "2"}}, {"env": {"A": "1", "B": "2"}}),
        ({"model": "a"}, {"model": "b"}, {"model": "b"}),
        ({"env": {"A": "1"}}, {"env": None}, {"env": None}),
    ],
)
def test_each_kind_of_member_is_merged_by_its_rule(base: Any, over: Any, merged: Any) -> None:
    assert merge(base, over) == merged


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"allow": ["a"]}, {"allow": ["b"]}, {"allow": ["b"]}),
        ({"deny": ["a"]}, {"deny": ["b", "a"]}, {"deny": ["a", "b"]}),
        ({"ask": ["a"]}, {"ask": ["b"]}, {"ask": ["a", "b"]}),
        ({"deny": ["a"]}, {"allow": ["b"]}, {"deny": ["a"], "allow": ["b"]}),
    ],
)
def test_permissions_are_merged_list_by_list(base: Any, over: Any, merged: Any) -> None:
    assert merge({"permissions": base}, {"permissions": over}) == {"permissions": merged}


DOCUMENTS = st.dictionaries(
    st.sampled_from(["availableModels", "deniedMcpServers", "env", "hooks", "permissions", "model"]),
    st.one_of(
        st.text(max_size=3),
        st.lists(st.text(max_size=2), max_size=3),
        st.dictionaries(st.sampled_from(["allow", "deny", "Stop"]), st.lists(st.text(max_size=2), max_size=3)),
    ),
)


@given(DOCUMENTS, DOCUMENTS)
def test_merging_keeps_what_only_one_side_says_and_repeats_nothing(base: Any, over: Any) -> None:
    merged = merge(base, over)
    assert merged.keys() == base.keys() | over.keys()
    assert merge(merged, over) == merged, "laid over once or twice is the same"
    assert merge({}, over) == over
    assert merge(base, {}) == base


def test_the_checksum_tells_whether_the_document_is_the_same_and_nothing_else() -> None:
    one = delivery([Policy("pol_1", "One", Match(), {"a": 1, "b": "ü"})], ADA)
    other = delivery([Policy("pol_2", "Two", Match(), {"b": "ü", "a": 1})], ADA)
    assert one is not None
    assert other is not None
    assert one.body == other.body
    assert one.checksum == "sha256:" + hashlib.sha256('{"a":1,"b":"ü"}'.encode()).hexdigest()
    assert json.loads(one.body) == {"uuid": one.checksum, "checksum": one.checksum, "settings": {"a": 1, "b": "ü"}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"model":"a","model":"b"}', "stands twice"),
        ('{"availableModels":"opus"}', "availableModels must be a list of strings."),
        ('{"deniedModels":[1]}', "deniedModels must be a list of strings."),
        ('{"availableModelsMatch":"Exact"}', 'availableModelsMatch must be "exact" or "prefix".'),
        ('{"permissions":{"deny":[1]}}', "permissions.deny must be a list of strings."),
        ('{"env":{"A":1}}', "env must be an object of strings."),
        ('{"hooks":{"Stop":{}}}', "hooks must be an object of lists."),
        ('{"permissions":[]}', "permissions must be an object."),
        ("[" * 100_000, "larger than"),
        ("[" * 60_000, "nested too deeply"),
        ('"' + "x" * LARGEST + '"', "larger than"),
    ],
)
def test_a_document_that_will_not_do_says_which_member_and_why(text: str, problem: str) -> None:
    assert problem in " ".join(problems(text)[1])


def test_what_this_server_does_not_know_passes_as_it_is() -> None:
    assert problems('{"somethingNew":{"deep":[1]}}') == ({"somethingNew": {"deep": [1]}}, [])


def test_zero_retention_is_laid_over_everything_and_is_a_policy_of_its_own() -> None:
    loud = Policy("pol_loud", "Loud", Match(), {"env": {"OTEL_LOG_USER_PROMPTS": "1", "A": "b"}})
    given_to = delivery([loud], ADA, zero_retention=True)
    assert given_to is not None
    assert given_to.settings["env"] == {**ZERO_RETENTION.settings["env"], "A": "b"}
    assert set(ZERO_RETENTION.settings["env"].values()) == {"0"}
    alone = delivery([], ADA, zero_retention=True)
    assert alone is not None
    assert alone.sources == (ZERO_RETENTION,)
    assert delivery([], ADA) is None


def test_models_are_limited_only_by_a_document_that_names_them() -> None:
    assert models({}) is None
    assert models({"availableModels": []}) == ModelRules(frozenset())
    assert models({"availableModels": ["a"]}) == ModelRules(frozenset({"a"}))


@pytest.mark.parametrize("value", [None, "opus", {"opus": True}, [1], ["opus", None]])
def test_models_that_cannot_be_read_are_not_every_model(value: Any) -> None:
    with pytest.raises(ValueError, match="not a list of strings"):
        models({"availableModels": value})
