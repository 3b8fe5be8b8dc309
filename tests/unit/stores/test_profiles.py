"""Choosing a profile, and the store of one that cannot be chosen."""

from pathlib import Path

import pytest

from keystead.credentials import LoginKind
from keystead.errors import ConfigurationError
from keystead.stores import profiles
from keystead.stores.memory import MemoryStore
from keystead.stores.profiles import SelectedBy
from keystead.testing.clock import FakeClock
from keystead.testing.environment import bare_environment
from keystead.testing.store_contract import sample_login


@pytest.mark.parametrize("name", ["default", "work", "a", "9", "ada@example.com", "a.b_c-d", "x" * 64])
def test_these_are_names(name: str) -> None:
    """An e-mail address is one, too."""
    assert profiles.require_name(name, "here") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "a b", "a/b", "a\\b", "a\n", "a\0", "$(x)", "a;b", "ä", "x" * 65]
)
def test_what_a_shell_or_a_file_system_could_take_for_more_is_none(name: str) -> None:
    """The message quotes nothing of it."""
    with pytest.raises(ConfigurationError) as caught:
        profiles.require_name(name, "KEYSTEAD_PROFILE")

    assert caught.value.message == "KEYSTEAD_PROFILE does not name a profile."


def test_nothing_said_is_the_default(tmp_path: Path) -> None:
    """And costs no file."""
    environment = bare_environment(tmp_path)

    assert profiles.select(environment, FakeClock()) == profiles.DEFAULT
    assert not environment.state_dir.exists()


def test_without_a_choice_nothing_is_read_or_written_but_by_name(tmp_path: Path) -> None:
    """No other account steps in."""
    place = MemoryStore()
    saved = place.at("work").save(sample_login())
    selection = profiles.select(bare_environment(tmp_path), FakeClock(), "no name")
    store = profiles.view(place, selection)

    assert (selection.by, str(selection)) == (SelectedBy.FLAG, "no name (chosen by --profile)")
    for act in (
        lambda: store.profile,
        lambda: store.load(LoginKind.GATEWAY),
        lambda: store.peek(LoginKind.GATEWAY),
        lambda: store.save(saved),
        lambda: store.delete(LoginKind.GATEWAY),
        lambda: store.restore(LoginKind.GATEWAY),
        lambda: store.forget(saved),
        lambda: store.rename("x"),
        lambda: store.lock(LoginKind.GATEWAY, 0).__enter__(),
    ):
        with pytest.raises(ConfigurationError, match="--profile"):
            act()
    assert (store.location, store.notes(), store.profiles()) == ("memory", (), ("work",))
    assert store.at("work").load(LoginKind.GATEWAY) == saved
