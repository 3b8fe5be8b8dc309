"""Which profile belongs to which directory."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import StoreUnavailable, UnreadableFile
from keystead.stores.bindings import Bindings
from keystead.stores.files import Files
from keystead.testing.clock import FakeClock


@pytest.fixture
def bindings(tmp_path: Path) -> Bindings:
    return Bindings(tmp_path / "state", FakeClock())


def test_asking_leaves_no_trace(bindings: Bindings, tmp_path: Path) -> None:
    """Every command asks."""
    assert bindings.nearest(tmp_path) is None
    assert not (tmp_path / "state").exists()


def test_only_whole_names_of_directories_count(bindings: Bindings, tmp_path: Path) -> None:
    """``work-2`` is not below ``work``."""
    bindings.bind(tmp_path / "work", "work")

    assert bindings.nearest(tmp_path / "work-2") is None
    assert bindings.nearest(tmp_path / "work/not/there/yet") == (str(tmp_path / "work"), "work")


def test_a_directory_that_moved_away_is_bound_no_more_and_harms_nobody(bindings: Bindings, tmp_path: Path) -> None:
    """Bindings are by path."""
    (tmp_path / "here").mkdir()
    bindings.bind(tmp_path / "here", "work")
    (tmp_path / "here").rename(tmp_path / "there")

    assert bindings.nearest(tmp_path / "there") is None
    assert bindings.unbind(tmp_path / "here") == "work"
    assert bindings.unbind(tmp_path / "here") is None


def test_the_file_is_private_and_many_writers_lose_nothing(tmp_path: Path) -> None:
    """One lock; each adds its own."""
    state = tmp_path / "state"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Bindings(state, SYSTEM_CLOCK).bind(tmp_path / str(n), f"p{n}"), range(16)))

    assert len(Bindings(state, SYSTEM_CLOCK).all()) == 16
    assert stat.S_IMODE((state / "bindings.json").stat().st_mode) == 0o600


def test_a_file_others_can_read_or_write_is_not_believed(bindings: Bindings, tmp_path: Path) -> None:
    """Somebody else may have chosen the account."""
    bindings.bind(tmp_path, "work")
    (tmp_path / "state/bindings.json").chmod(0o666)

    with pytest.raises(UnreadableFile, match="mode 0666"):
        bindings.nearest(tmp_path)


class _Full(Files):
    def write(self, descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_keeps_what_was_bound(bindings: Bindings, tmp_path: Path) -> None:
    """And says so."""
    bindings.bind(tmp_path, "work")

    with pytest.raises(StoreUnavailable, match="no space left"):
        Bindings(tmp_path / "state", FakeClock(), _Full()).bind(tmp_path, "home")

    assert bindings.nearest(tmp_path) == (str(tmp_path), "work")


@given(st.data())
def test_any_content_is_bindings_or_a_fault(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Nothing else comes out, and a fault names the way on."""
    values = st.none() | st.text(max_size=3) | st.lists(st.none(), max_size=1) | st.dictionaries(st.text(), st.none())
    document = {"schema": "keystead.bindings/1", "bindings": data.draw(values)}
    state = tmp_path_factory.mktemp("state")
    path = state / "bindings.json"
    path.touch(0o600)
    path.write_bytes(data.draw(st.binary(max_size=20) | st.just(json.dumps(document).encode())))

    assert said(Bindings(state, FakeClock())) in {"{}", "Choose with --profile NAME"}


def said(bindings: Bindings) -> str:
    """Return what is bound, or the beginning of the hint."""
    try:
        return str(bindings.all())
    except UnreadableFile as error:
        return str(error.hint).partition(",")[0]
