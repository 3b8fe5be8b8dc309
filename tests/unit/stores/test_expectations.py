"""Declarations of who pays, and what was told once."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.errors import UnreadableFile
from keystead.stores.expectations import FIELDS, SCHEMA, Expectations
from keystead.stores.notices import Notices
from keystead.testing.clock import FakeClock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_reading_writes_nothing(state: Path, tmp_path: Path) -> None:
    assert Expectations(state, FakeClock()).applying(tmp_path, "default") == ()
    assert not state.exists()


def test_the_file_is_private_and_has_a_schema(state: Path, tmp_path: Path) -> None:
    Expectations(state, FakeClock()).declare({"billing": "cloud"}, directory=tmp_path, profile=None)
    file = state / "expectations.json"

    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["schema"] == SCHEMA


def test_the_nearest_directory_and_the_profile_both_count(state: Path, tmp_path: Path) -> None:
    book = Expectations(state, FakeClock())
    near = tmp_path / "a/b"
    near.mkdir(parents=True)
    book.declare({"billing": "cloud"}, directory=tmp_path, profile=None)
    book.declare({"billing": "metered"}, directory=near, profile=None)
    book.declare({"account": "x"}, directory=None, profile="work")

    assert [str(one) for one in book.applying(near, "work")] == ["billing=metered", "account=x"]
    assert [str(one) for one in book.applying(tmp_path / "a", "default")] == ["billing=cloud"]
    assert book.applying(tmp_path.parent, "default") == ()


def test_a_neighbour_with_a_longer_name_is_not_below(state: Path, tmp_path: Path) -> None:
    book = Expectations(state, FakeClock())
    (tmp_path / "app").mkdir()
    book.declare({"billing": "cloud"}, directory=tmp_path / "app", profile=None)

    assert book.applying(tmp_path / "app-two", "default") == ()


def test_a_renamed_profile_takes_the_place_of_its_namesake(state: Path) -> None:
    book = Expectations(state, FakeClock())
    book.declare({"account": "x"}, directory=None, profile="old")
    book.declare({"account": "y"}, directory=None, profile="new")
    book.rename("old", "new")
    book.rename("nobody", "else")

    assert [(one.profile, str(one)) for one in book.all()] == [("new", "account=x")]


@given(
    st.dictionaries(st.sampled_from(FIELDS), st.text(min_size=1), min_size=1),
    st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=40),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, str], name: str
) -> None:
    book = Expectations(tmp_path_factory.mktemp("state"), FakeClock())
    declared = book.declare(fields, directory=None, profile=name)

    assert book.all() == (declared,)
    assert dict(declared.expected) == fields


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        {"schema": "keystead.expectations/2", "directories": {}, "profiles": {}},
        {"schema": SCHEMA, "directories": {}},
        {"schema": SCHEMA, "directories": {"/x": {}}, "profiles": {}},
        {"schema": SCHEMA, "directories": {"/x": {"colour": "blue"}}, "profiles": {}},
        {"schema": SCHEMA, "directories": {"/x": {"billing": 1}}, "profiles": {}},
        {"schema": SCHEMA, "directories": [], "profiles": {}},
    ],
)
def test_a_damaged_file_is_named_and_expects_no_less(state: Path, document: object) -> None:
    """A field that this version does not know cannot be held, so the file is refused (fail closed)."""
    state.mkdir(mode=0o700)
    file = state / "expectations.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    file.chmod(0o600)

    with pytest.raises(UnreadableFile, match=r"expectations\.json is damaged"):
        Expectations(state, FakeClock()).all()


def test_a_notice_is_new_once_in_each_directory(state: Path, tmp_path: Path) -> None:
    """Links are followed, so that another way to the same place is the same place."""
    (tmp_path / "link").symlink_to(tmp_path)
    notices = Notices(state, FakeClock())

    told = [notices.first(tmp_path / place, subject) for place, subject in (("", "a"), ("", "a"), ("link", "a"))]

    assert told == [True, False, False]
    assert notices.first(tmp_path, "b")
    assert notices.first(tmp_path / "below", "a")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "keystead.notices/1", "told": {"/": 1}}'])
def test_a_damaged_file_of_notices_has_told_nothing(state: Path, tmp_path: Path, content: str) -> None:
    state.mkdir(mode=0o700)
    (state / "notices.json").write_text(content)

    assert Notices(state, FakeClock()).first(tmp_path, "a")
