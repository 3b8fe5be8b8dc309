"""The kept answer of a cloud: how long it counts, and what a damaged file means."""

from pathlib import Path

import pytest

from keystead.credentials.cloud import CloudIdentity
from keystead.errors import CloudNotReady
from keystead.stores.cloud_cache import MARGIN, CloudCache
from keystead.testing.clock import FakeClock


def kept(tmp_path: Path, clock: FakeClock, lasts: float | None) -> CloudCache:
    cache = CloudCache(tmp_path, "bedrock", {"AWS_PROFILE": "team"}, clock)
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
