"""The kept answer of a cloud: how long it counts, and what a damaged file means."""

from pathlib import Path

import pytest

from keystead.credentials.cloud import CloudIdentity
from keystead.stores.cloud_cache import LIFETIME, MARGIN, CloudCache
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
        (None, LIFETIME - 1, True),
        (None, LIFETIME, False),
        (None, -1, False),
        (MARGIN + 10, 9, True),
        (MARGIN + 10, 10, False),
        (1, 0, False),
    ],
)
def test_how_long_an_answer_counts(lasts: float | None, age: float, counts: bool, tmp_path: Path) -> None:
    """Five minutes, never past the credential's end, and not when the clock went back."""
    clock = FakeClock()
    cache = kept(tmp_path, clock, lasts)
    clock.advance(age)
    assert (cache.load() is not None) is counts


@pytest.mark.parametrize("data", ["", "{}", "[]", '{"schema": "keystead.cloud/2"}', '{"schema": "keystead.cloud/1"}'])
def test_a_damaged_file_counts_as_none(data: str, tmp_path: Path) -> None:
    cache = kept(tmp_path, FakeClock(), None)
    (file,) = tmp_path.glob("cloud-*.json")
    file.write_text(data)
    assert cache.load() is None
