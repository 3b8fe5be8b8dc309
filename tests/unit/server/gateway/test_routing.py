"""The order of upstreams: a property of whatever is configured, and a circuit that opens, tries and closes."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from upstreams import upstream

from keystead.server.gateway.ports import Upstream
from keystead.server.gateway.routing import JITTER, LONGEST, PATIENCE, SHORTEST, Health, Sessions, candidates, pause

A, B = upstream("http://127.0.0.1:1", "a"), upstream("http://127.0.0.1:1", "b")
MODELS = ("claude-opus-5", "claude-sonnet-5", "claude-haiku-4-5")
SERVES = st.sampled_from([(), ("opus",), ("sonnet", "haiku"), ("claude-haiku-4-5",)])
UPSTREAMS = st.lists(SERVES, max_size=5).map(
    lambda rows: [upstream("http://127.0.0.1:1", str(number), serves=serves) for number, serves in enumerate(rows)]
)
IDS = st.sampled_from([f"upst_{number}" for number in range(6)])
EVENTS = st.lists(st.tuples(st.sampled_from(["failed", "tried", "succeeded"]), IDS, st.floats(0, 200)), max_size=30)


def health_after(events: list[tuple[str, str, float]], upstreams: list[Upstream]) -> tuple[Health, float]:
    health, now = Health(lambda: 0.5), 0.0
    known = {one.id: one for one in upstreams}
    for what, name, later in events:
        now += later
        one = known.get(name, A)
        if what == "failed":
            health.failed(one, now)
        elif what == "tried":
            health.tried(one, now)
        else:
            health.succeeded(one)
    return health, now


def fits(one: Upstream, model: str) -> bool:
    return not one.serves or any(entry in model for entry in one.serves)


@given(UPSTREAMS, st.sampled_from(MODELS), st.just("") | IDS, EVENTS)
def test_candidates_are_those_that_serve_the_model_once_each(
    upstreams: list[Upstream], model: str, session_at: str, events: list[tuple[str, str, float]]
) -> None:
    health, now = health_after(events, upstreams)
    found = candidates(upstreams, model, session_at, health, now)
    serving = [one for one in upstreams if fits(one, model)]
    assert len({one.id for one in found}) == len(found)
    assert set(map(id, found)) <= set(map(id, serving))
    assert bool(found) == bool(serving)
    well = [one for one in serving if not health.is_open(one, now)]
    assert {one.id for one in found} == {one.id for one in well or serving}
    assert [one for one in found if one.id != session_at] == [one for one in well or serving if one.id != session_at]
    if session_at in {one.id for one in found}:
        assert found[0].id == session_at


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_pause_is_bounded_and_grows(failures: int, chance: float) -> None:
    seconds = pause(failures, chance)
    assert 0 <= seconds <= LONGEST * (1 + JITTER)
    assert (seconds == 0) == (failures < PATIENCE)
    assert pause(failures + 1, chance) >= seconds
    assert failures < PATIENCE or seconds >= SHORTEST


def test_a_circuit_opens_after_failures_in_a_row_only() -> None:
    health = Health(lambda: 0.0)
    for _ in range(PATIENCE - 1):
        health.failed(A, 0.0)
    health.succeeded(A)
    for _ in range(PATIENCE - 1):
        assert health.failed(A, 0.0) == 0
    assert not health.is_open(A, 0.0)
    assert health.failed(A, 0.0) == SHORTEST
    assert health.is_open(A, SHORTEST - 0.1)
    assert not health.is_open(B, 0.0)


def test_after_the_pause_one_request_is_the_trial() -> None:
    health = Health(lambda: 0.0)
    for _ in range(PATIENCE):
        health.failed(A, 0.0)
    now = SHORTEST
    assert not health.is_open(A, now)
    health.tried(A, now)
    assert health.is_open(A, now)  # the others pass it by
    assert health.failed(A, now + 1) == 2 * SHORTEST
    assert health.is_open(A, now + 1 + 2 * SHORTEST - 0.1)
    health.tried(A, now + 1 + 2 * SHORTEST)
    health.succeeded(A)
    assert not health.is_open(A, now + 1 + 2 * SHORTEST)


def test_a_correction_is_tried_at_once() -> None:
    """An administrator who corrected the address or the key, or a token that was renewed, need not wait."""

    class Renewing:
        fixed = b""
        version = 1

        def lines(self, _request: object) -> bytes:
            return b""

    credential = Renewing()
    one = replace(A, credential=credential)
    health = Health(lambda: 0.0)
    for _ in range(PATIENCE):
        health.failed(one, 0.0)
    assert health.is_open(replace(one), 0.0)  # read again, and the same
    assert not health.is_open(replace(one, base_url="http://127.0.0.1:2"), 0.0)
    credential.version = 2
    assert not health.is_open(one, 0.0)
    assert health.failed(one, 0.0) == 0


def test_a_trial_that_never_ends_is_followed_by_another() -> None:
    health = Health(lambda: 0.0)
    for _ in range(PATIENCE):
        health.failed(A, 0.0)
    health.tried(A, SHORTEST)
    assert not health.is_open(A, 2 * SHORTEST)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20), IDS), max_size=60), st.integers(1, 8))
def test_of_too_many_sessions_the_quietest_is_forgotten(served: list[tuple[str, int, str]], most: int) -> None:
    sessions = Sessions(most)
    for organization, number, name in served:
        sessions.served(organization, f"s{number}", name)
    assert len(sessions) <= most
    last = {(organization, number): name for organization, number, name in served}
    recent = list(dict.fromkeys((organization, number) for organization, number, _ in reversed(served)))[:most]
    assert all(sessions.of(organization, f"s{number}") == last[organization, number] for organization, number in recent)


def test_a_request_without_a_session_is_at_no_upstream() -> None:
    sessions = Sessions()
    sessions.served("org_1", "", "upst_1")
    assert len(sessions) == 0
