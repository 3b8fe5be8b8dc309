from pathlib import Path

import pytest

from keystead.errors import UnreadableFile
from keystead.stores.trust import Trust
from keystead.testing.clock import FakeClock


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(tmp_path / "state")


def test_nothing_is_trusted_at_first_and_asking_writes_nothing(trust: Trust, project: Path, tmp_path: Path) -> None:
    assert not trust.covers(project, "apiKeyHelper", "echo key")
    assert trust.all() == ()
    assert not (tmp_path / "state").exists()


def test_a_command_is_trusted_as_written_in_its_directory_under_its_name(trust: Trust, project: Path) -> None:
    trust.grant(project, {"apiKeyHelper": "echo key"}, FakeClock())

    assert trust.covers(project, "apiKeyHelper", "echo key")
    assert not trust.covers(project, "apiKeyHelper", "echo key ")
    assert not trust.covers(project, "awsAuthRefresh", "echo key")
    assert not trust.covers(project.parent, "apiKeyHelper", "echo key")
    assert not trust.covers(project / "below", "apiKeyHelper", "echo key")


def test_granting_again_replaces(trust: Trust, project: Path) -> None:
    """A command that the project no longer has is not trusted for the day it comes back."""
    trust.grant(project, {"apiKeyHelper": "one", "awsAuthRefresh": "two"}, FakeClock())
    trust.grant(project, {"apiKeyHelper": "three"}, FakeClock())

    assert [one.name for one in trust.all()] == ["apiKeyHelper"]
    assert not trust.covers(project, "apiKeyHelper", "one")


def test_a_symlink_is_its_target(trust: Trust, project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    trust.grant(tmp_path / "link", {"apiKeyHelper": "echo key"}, FakeClock())
    (tmp_path / "link").unlink()
    (tmp_path / "link").mkdir()

    assert trust.covers(project, "apiKeyHelper", "echo key")
    assert not trust.covers(tmp_path / "link", "apiKeyHelper", "echo key")


def test_taking_it_back(trust: Trust, project: Path) -> None:
    trust.grant(project, {"apiKeyHelper": "echo key"}, FakeClock())

    assert trust.revoke(project, FakeClock())
    assert not trust.revoke(project, FakeClock())
    assert not trust.covers(project, "apiKeyHelper", "echo key")


def test_the_command_itself_is_not_kept(trust: Trust, project: Path, tmp_path: Path) -> None:
    """People put keys into commands."""
    trust.grant(project, {"apiKeyHelper": "echo canary"}, FakeClock())

    assert b"canary" not in (tmp_path / "state/trust.json").read_bytes()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "keystead.trust/1", "salt": "zz", "trusted": []}'])
def test_a_damaged_file_trusts_nothing(content: str, trust: Trust, project: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state/trust.json").write_text(content)
    (tmp_path / "state/trust.json").chmod(0o600)

    with pytest.raises(UnreadableFile, match="damaged"):
        trust.covers(project, "apiKeyHelper", "echo key")
