"""The data directory is private, its key is made once, and one server holds it."""

import os
import stat
from pathlib import Path

import pytest

from keystead.errors import StoreBusy, UnreadableFile
from keystead.server import data_directory


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"

    data_directory.prepare(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_directory_open_to_others_is_refused_with_the_fix(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    with pytest.raises(UnreadableFile, match="can be entered by other users") as raised:
        data_directory.prepare(tmp_path)

    assert raised.value.hint == f"Run: chmod 700 {tmp_path}"


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UnreadableFile, match="cannot be created"):
        data_directory.prepare(tmp_path / "file" / "below")


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    first = data_directory.secret_key(tmp_path, os.urandom)
    second = data_directory.secret_key(tmp_path, os.urandom)

    assert first == second
    assert len(first) == 96
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret-key"]


def test_of_two_writers_the_first_wins(tmp_path: Path) -> None:
    data_directory.write_private(tmp_path / "key", b"first")
    data_directory.write_private(tmp_path / "key", b"second")

    assert (tmp_path / "key").read_bytes() == b"first"


def test_a_second_server_is_told_about_the_first(tmp_path: Path) -> None:
    with (
        data_directory.only_server(tmp_path),
        pytest.raises(StoreBusy, match="already runs"),
        data_directory.only_server(tmp_path),
    ):
        pass


def test_the_directory_is_free_again_afterwards(tmp_path: Path) -> None:
    with data_directory.only_server(tmp_path):
        pass

    with data_directory.only_server(tmp_path):
        assert (tmp_path / "server.lock").exists()
