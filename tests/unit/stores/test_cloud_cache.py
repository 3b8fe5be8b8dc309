"""The kept answer of a cloud: how long it counts, and what a damaged file means."""

from pathlib import Path

import pytest

from keystead.credentials.cloud import CloudIdentity, CloudToken
from keystead.errors import CloudNotReady
from keystead.secret import Secret
from keystead.stores.cloud_cache import IDENTITY, MARGIN, TOKEN, CloudCache
from keystead.testing.clock import FakeClock


def kept(tmp_path: Path, clock: FakeClock, lasts: float | None) -> CloudCache[CloudIdentity]:
    cache = CloudCache(tmp_path, "bedrock", {"AWS_PROFILE": "team"}, clock, IDENTITY)
    end = None if lasts is None else clock.now() + lasts
    cache.save(CloudIdentity("bedrock", "sso", account="111122223333", expires_at=end, proven=True))
    return cache


@pytest.mark.requirement("R-33 once")
@pytest.mark.parametrize(
    ("lasts", "age", "counts"),
    [
        (None, 299, True),
        (None, 300, False),
        (None, -1, False),
        (MARGIN + 10, 9, True),
        (MARGIN + 10, 10, False),
        (1, 0, False),
    ],
)
def test_how_long_an_answer_counts(lasts: float | None, age: float, counts: bool, tmp_path: Path) -> None:
    """As long as is asked for, never past the credential's end, and not when the clock went back."""
    clock = FakeClock()
    cache = kept(tmp_path, clock, lasts)
    clock.advance(age)
    assert (cache.load(clock.now() - 300) is not None) is counts


def test_a_refusal_is_no_answer_and_the_other_way_round(tmp_path: Path) -> None:
    clock = FakeClock()
    cache = kept(tmp_path, clock, None)
    assert cache.refusal(0) is None
    cache.save(CloudNotReady("AWS refused the credentials.", hint="Sign in."))
    assert cache.load(0) is None
    refusal = cache.refusal(0)
    assert refusal is not None
    assert (refusal.message, refusal.hint) == ("AWS refused the credentials.", "Sign in.")
    assert cache.refusal(clock.now()) is None


@pytest.mark.parametrize("data", ["", "{}", "[]", '{"schema": "keystead.cloud/2"}', '{"schema": "keystead.cloud/1"}'])
def test_a_damaged_file_counts_as_none(data: str, tmp_path: Path) -> None:
    cache = kept(tmp_path, FakeClock(), None)
    (file,) = tmp_path.glob("cloud-*.json")
    file.write_text(data)
    assert cache.load(0) is None
    assert cache.refusal(0) is None


@pytest.mark.requirement("R-33 once")
def test_a_token_is_kept_beside_the_identity_and_ends_with_itself(tmp_path: Path) -> None:
    """In a file of its own, so that the one never takes the place of the other."""
    clock = FakeClock()
    identities = kept(tmp_path, clock, None)
    tokens = CloudCache(tmp_path, "bedrock", {"AWS_PROFILE": "team"}, clock, TOKEN)
    assert tokens.load(0) is None
    token = CloudToken(CloudIdentity("vertex", "adc", expires_at=clock.now() + 3600), Secret("made-up"))
    tokens.save(token)
    assert (tokens.load(0), identities.load(0) is not None) == (token, True)
    assert "made-up" not in repr(token)
    clock.advance(3600 - MARGIN)
    assert tokens.load(0) is None
