"""Which backend was chosen."""

import uuid
from pathlib import Path

import pytest

from keystead.errors import UnreadableFile
from keystead.stores import choice
from keystead.stores.choice import Backend, Choice
from keystead.stores.files import Files


def test_the_default_is_the_file(tmp_path: Path) -> None:
    """Reading it writes nothing."""
    assert choice.read(tmp_path / "state", "linux") == Choice(Backend.FILE, remembered=False)
    assert not (tmp_path / "state").exists()


def test_the_default_on_macos_is_the_keychain_unless_a_file_is_there(tmp_path: Path) -> None:
    """Nothing that exists changes place because a package was installed."""
    assert choice.read(tmp_path, "darwin").backend is Backend.KEYRING
    (tmp_path / "credentials.json").touch()
    assert choice.read(tmp_path, "darwin").backend is Backend.FILE


def test_the_default_on_macos_without_the_extra_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert choice.read(tmp_path, "darwin").backend is Backend.FILE


@pytest.mark.requirement("R-25 identity")
def test_a_choice_is_remembered_with_an_identity_that_moves_along(tmp_path: Path) -> None:
    """The id is random, not made from the path, and survives another choice."""
    first = choice.write(tmp_path / "one", Choice(Backend.KEYRING), Files())
    moved = (tmp_path / "one").rename(tmp_path / "two")

    assert uuid.UUID(first.store_id).version == 4
    assert choice.read(moved, "linux") == first
    second = choice.write(moved, Choice(Backend.SEALED, first.store_id, "file:/key"), Files())
    assert choice.read(moved, "linux") == second == Choice(Backend.SEALED, first.store_id, "file:/key")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": "keystead.store/1", "backend": "tape", "store_id": "1"}', '{"schema": "x"}']
)
def test_a_choice_that_cannot_be_read_is_not_guessed(tmp_path: Path, content: str) -> None:
    """Another backend would be another set of sign-ins."""
    path = tmp_path / "store.json"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(UnreadableFile, match="not known where") as caught:
        choice.read(tmp_path, "linux")

    assert "store use" in (caught.value.hint or "")
