"""A decision is total, refuses whatever no rule knows, and says which rule, from which document, and what to do."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from permits import facts

from keystead.credentials.rules import Program
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.decide import (
    PROOFS,
    RULES,
    USES,
    Allow,
    Credential,
    Deny,
    Facts,
    Permit,
    Plan,
    Proof,
    RegisteredClient,
    Rule,
    Suspension,
    Switches,
    decide,
    program_of,
    proof_of,
)
from keystead.server.policy.limits import Beyond, Limit, Measure, Period, Scope
from keystead.server.policy.model_access import ModelAccess, Unreadable
from keystead.server.policy.plans import Plans
from keystead.server.policy.terms import Kind, Standing, Unaccepted
from keystead.wire.surfaces import Surface

pytestmark = pytest.mark.requirement("S-20 decision")

MODEL = "claude-sonnet-4-5"
DUE = Unaccepted("commercial", "2026-11", "2026-11-26", "https://k/terms")
SIGN_IN = {"credential": Credential.SIGN_IN, "program": Program.FIRST_PARTY, "proof": Proof.REGISTERED}


def some(enumeration: Any) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(list(enumeration)), st.text(max_size=12))


ACCESS = st.one_of(
    st.none(),
    st.builds(Unreadable, st.text(max_size=9)),
    st.builds(
        lambda entries, exact, denied: ModelAccess(entries, exact=exact, denied=denied),
        st.one_of(st.none(), st.lists(st.sampled_from(["sonnet", "opus", "claude-opus-5", "x"]))),
        st.booleans(),
        st.lists(st.sampled_from(["haiku", "claude-opus-5-5", "x"])),
    ),
    st.sampled_from([0, "opus", ["opus"]]),
)
TERMS = st.one_of(
    st.none(),
    st.builds(Unaccepted, some(Kind), st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)),
    st.sampled_from([0, "accepted", False]),
)
FACTS = st.builds(
    Facts,
    credential=some(Credential),
    program=some(Program),
    proof=some(Proof),
    access=ACCESS,
    plan=some(Plan),
    switches=st.builds(Switches, st.booleans(), st.booleans(), st.booleans()),
    suspended=st.one_of(st.none(), st.builds(Suspension, st.text(max_size=9), st.text(max_size=9))),
    terms=TERMS,
    may_use_models=st.booleans(),
    model=st.one_of(st.sampled_from([MODEL, "claude-opus-5-5", "x"]), st.text(max_size=30)),
    surface=some(Surface),
)


@given(FACTS)
def test_any_facts_give_a_decision_that_says_why(these: Facts) -> None:
    decision = decide(these)
    assert isinstance(decision, Allow | Deny)
    if isinstance(decision, Deny):
        assert decision.rule in RULES
        assert decision.reason
        assert decision.rule.is_quoted or decision.rule.id in decision.sentence
    else:
        assert decision.proof in PROOFS.values()


@given(FACTS)
def test_only_what_every_rule_knows_is_allowed(these: Facts) -> None:
    known = (
        these.credential in set(Credential)
        and these.program in set(Program)
        and these.proof in set(Proof)
        and these.plan in set(Plan)
        and these.surface in set(Surface)
        and isinstance(these.terms, Unaccepted | None)
        and (these.access is None or isinstance(these.access, ModelAccess))
    )
    objections = [rule.id for rule in RULES if rule.objects(these) is not None]
    assert isinstance(decide(these), Allow) == (not objections)
    assert known or objections


LIMITS = st.lists(
    st.builds(
        Limit,
        id=st.just("spl_1"),
        scope=st.sampled_from(Scope),
        subject=st.sampled_from(["org_1", "grp_1", "mem_1", "svac_1", "wrk_1", "key_1"]),
        shared=st.booleans(),
        measure=st.sampled_from(Measure),
        period=st.sampled_from(Period),
        amount=st.one_of(st.none(), st.integers(0, 9)),
        beyond=st.sampled_from(Beyond),
    ),
    max_size=6,
)
PRINCIPALS = st.builds(
    Principal,
    kind=st.sampled_from(PrincipalKind),
    id=st.just("key_1"),
    organization_id=st.sampled_from(["org_1", "org_2"]),
    workspace_id=st.just("wrk_1"),
    member_id=st.one_of(st.none(), st.just("mem_1")),
)


@given(FACTS, LIMITS, PRINCIPALS, st.booleans())
def test_whatever_limits_there_are_somebody_has_a_plan_that_the_rules_know(
    these: Facts, limits: list[Limit], who: Principal, grouped: bool
) -> None:
    allowances = [one for one in limits if one.measure is Measure.ALLOWANCE]
    plan = Plans({"org_1": allowances}, {"mem_1": frozenset({"grp_1"} if grouped else ())}).of(who)
    assert plan in set(Plan)
    decision = decide(replace(these, plan=plan))
    assert isinstance(decision, Allow | Deny)
    if plan is Plan.ALLOWANCE and these.credential != Credential.SIGN_IN:
        assert isinstance(decision, Deny)
    if who.member_id is None or who.organization_id == "org_2":
        assert plan is Plan.METERED


@given(FACTS, st.lists(st.tuples(st.sampled_from([MODEL, "claude-opus-5-5", ""]), some(Surface)), max_size=4))
def test_a_permit_that_is_kept_answers_as_the_whole_does(these: Facts, asked: list[tuple[str, str]]) -> None:
    permit = Permit(these)
    for model, surface in asked:
        whole = decide(replace(these, model=model, surface=surface))
        answer = permit.refuses(model, surface)
        assert (answer is None) == isinstance(whole, Allow)
        if isinstance(whole, Deny):
            assert answer is not None
            assert (answer.rule, answer.reason) == (whole.rule, whole.reason)


@given(FACTS)
def test_a_list_a_suspension_or_terms_only_take_away(these: Facts) -> None:
    if isinstance(decide(these), Deny):
        narrower = [replace(these, suspended=Suspension("It", "no")), replace(these, terms=DUE)]
        if these.access is None:
            narrower.append(replace(these, access=ModelAccess(["sonnet"])))
        assert not any(isinstance(decide(one), Allow) for one in narrower)


ORGANIZATIONS = st.sampled_from(["org_1", "org_2", "org_3"])


@pytest.mark.requirement("S-21 refused")
@given(
    st.sets(some(Kind)),
    st.dictionaries(ORGANIZATIONS, st.sampled_from(Kind)),
    st.frozensets(st.tuples(ORGANIZATIONS, st.sampled_from(Kind))),
    ORGANIZATIONS,
)
def test_an_organization_goes_on_only_if_it_has_accepted_what_governs_it(
    in_force: set[str], kinds: dict[str, str], accepted: frozenset[tuple[str, str]], who: str
) -> None:
    published = {kind: replace(DUE, kind=kind) for kind in in_force}
    missing = Standing(published, kinds, accepted).missing(who)
    governs = kinds.get(who, "commercial")
    assert (missing is None) == (governs not in in_force or (who, governs) in accepted)
    decision = decide(facts(model=MODEL, terms=missing))
    assert isinstance(decision, Allow) == (missing is None)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_is_dated_cited_and_offers_something_else(rule: Rule) -> None:
    assert date.fromisoformat(rule.dated)
    assert rule.source
    assert rule.url.startswith("https://")
    assert rule.alternative
    assert rule.status in {400, 403, 503}


def test_no_two_rules_have_one_name() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("changed", "rule", "status", "words"),
    [
        ({"credential": "ticket"}, "unknown-fact", 403, "The credential is of no kind"),
        ({"plan": "barter"}, "unknown-fact", 403, "The plan is of no kind"),
        ({"surface": "moon"}, "unknown-surface", 403, "The surface is of no kind"),
        ({"program": ""}, "unknown-client", 503, "not known here yet"),
        ({**SIGN_IN, "program": Program.REGISTERED}, "person-sign-in", 403, "registered as first-party (rule person-"),
        ({**SIGN_IN, "program": Program.OTHER}, "person-sign-in", 403, "as of 2026-11-21"),
        ({"credential": Credential.SERVICE}, "own-service-token", 403, "Register the client"),
        ({"suspended": Suspension("This API key", "Spam.")}, "suspended", 403, "This API key is suspended: Spam (rule"),
        (
            {"terms": DUE},
            "terms",
            403,
            "the commercial terms 2026-11, in force since 2026-11-26; they wait at https://k/terms",
        ),
        (
            {"terms": DUE},
            "terms",
            403,
            "An administrator of your organization accepts them there; if you are one, it is",
        ),
        ({"terms": "accepted"}, "unknown-fact", 403, "The acceptance of terms is of no kind"),
        ({"may_use_models": False}, "role", 403, "Your role may not use models (rule role"),
        ({"switches": Switches(baa=True)}, "baa", 403, "only while zero data retention is on"),
        ({**SIGN_IN, "switches": Switches(proven_clients=True)}, "proven-clients", 403, "declared only"),
        ({"plan": Plan.ALLOWANCE}, "individual-use", 403, "is for people who are signed in"),
        ({"surface": Surface.REMOTE}, "remote-surface", 403, "keystead login"),
        ({"access": Unreadable("pol_1")}, "models-unreadable", 503, "ask an administrator to look at the policies"),
        (
            {"access": ModelAccess(["opus"])},
            "available-models",
            400,
            f"model {MODEL} is not in your role's availableModels allowlist",
        ),
        (
            {"access": ModelAccess(["sonnet"], denied=["sonnet"])},
            "denied-models",
            400,
            f"model {MODEL} is not in your role's availableModels allowlist: your organization's deniedModels has it",
        ),
    ],
)
def test_each_rule_speaks_for_itself(changed: dict[str, Any], rule: str, status: int, words: str) -> None:
    decision = decide(facts(model=MODEL, **changed))
    assert isinstance(decision, Deny)
    assert (decision.rule.id, decision.rule.status) == (rule, status)
    assert words in decision.sentence
    assert "pol_1" not in decision.sentence


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"surface": Surface.LOCAL},
        {**SIGN_IN},
        {**SIGN_IN, "surface": Surface.REMOTE, "plan": Plan.ALLOWANCE},
        {**SIGN_IN, "proof": Proof.BOUND, "switches": Switches(proven_clients=True)},
        {**SIGN_IN, "proof": Proof.AUTHENTICATED, "switches": Switches(proven_clients=True)},
        {"credential": Credential.SERVICE, "program": Program.REGISTERED, "proof": Proof.AUTHENTICATED},
        {"switches": Switches(zero_retention=True, baa=True)},
        {"access": ModelAccess(["sonnet"])},
    ],
)
def test_what_no_rule_objects_to_goes_on(changed: dict[str, Any]) -> None:
    assert isinstance(decide(facts(model=MODEL, **changed)), Allow)


def test_every_credential_has_its_row_in_the_table_of_credentials() -> None:
    assert set(USES) == set(Credential)


def test_how_well_a_client_is_known_is_said() -> None:
    ours, theirs = RegisteredClient(None, True, False), RegisteredClient("org_2", True, True)
    assert (program_of(ours, "org_1"), program_of(theirs, "org_2")) == (Program.FIRST_PARTY, Program.FIRST_PARTY)
    assert program_of(RegisteredClient(None, False, True), "org_1") == Program.REGISTERED
    assert program_of(theirs, "org_1") == program_of(None, "org_1") == ""
    assert [proof_of(one) for one in (None, ours, theirs)] == [Proof.NONE, Proof.REGISTERED, Proof.AUTHENTICATED]
    assert Permit(facts()).proof.startswith("declared only")
    assert Permit(facts(**{**SIGN_IN, "proof": Proof.BOUND})).proof.startswith("proven")
