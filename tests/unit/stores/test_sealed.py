"""The encrypted file."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.credentials import LoginKind
from keystead.errors import StoreUnavailable
from keystead.secret import Secret
from keystead.stores.kept import RecordStore
from keystead.stores.places import FilePlace
from keystead.stores.sealed import SealedPlace, sealed_file
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import sample_login

_ONE = SealedPlace(FilePlace(Path("unused"), FakeClock()), lambda: Secret("key"))


def place(tmp_path: Path, key: str = "correct horse") -> SealedPlace:
    return sealed_file(FilePlace(tmp_path / "state", FakeClock(), stem="credentials.sealed"), lambda: Secret(key))


def store(tmp_path: Path, key: str = "correct horse") -> RecordStore:
    return RecordStore(tmp_path / "state", place(tmp_path, key), FakeClock(), summary=tmp_path / "state/summary.json")


@given(st.binary(min_size=1))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_sealed_is_opened(data: bytes) -> None:
    assert _ONE._open(_ONE._seal(data)) == data


@pytest.mark.requirement("R-18 sealed")
def test_no_file_shows_a_token(tmp_path: Path) -> None:
    """Nor who is signed in, but for the summary that says nothing secret."""
    store(tmp_path).save(sample_login(access_token="canary-1"))
    store(tmp_path).save(sample_login(access_token="canary-2"))

    found = {file.name: file.read_bytes() for file in (tmp_path / "state").iterdir()}
    assert not [name for name, content in found.items() if b"canary" in content or b"refresh-1" in content]
    assert [name for name, content in found.items() if b"ada@example.com" in content] == ["summary.json"]
    assert {(tmp_path / "state" / name).stat().st_mode & 0o777 for name in found} == {0o600}


def test_a_wrong_key_is_named_and_writes_nothing(tmp_path: Path) -> None:
    """It could otherwise seal what the right one will not open."""
    saved = store(tmp_path).save(sample_login())
    before = (tmp_path / "state/credentials.sealed.json").read_bytes()
    wrong = store(tmp_path, "incorrect donkey")

    with pytest.raises(StoreUnavailable, match="key does not open"):
        wrong.load(LoginKind.GATEWAY)
    with pytest.raises(StoreUnavailable, match="key does not open"):
        wrong.save(sample_login())
    assert (tmp_path / "state/credentials.sealed.json").read_bytes() == before
    assert store(tmp_path).load(LoginKind.GATEWAY) == saved


def test_a_look_needs_no_key(tmp_path: Path) -> None:
    """Status asks nobody for a passphrase (R-06)."""
    store(tmp_path).save(sample_login())
    sealed = FilePlace(tmp_path / "state", FakeClock(), stem="credentials.sealed")

    def asked() -> Secret:
        raise AssertionError("the passphrase was asked for")

    seen = RecordStore(
        tmp_path / "state", SealedPlace(sealed, asked), FakeClock(), summary=tmp_path / "state/summary.json"
    ).peek(LoginKind.GATEWAY)
    assert seen is not None
    assert seen.account == sample_login().account
    assert not seen.tokens.access_token


@pytest.mark.requirement("R-18 damage")
@pytest.mark.parametrize("damage", ["truncated", "box", "nonce", "n", "schema", "work"])
def test_a_changed_file_opens_to_the_generation_before_it(tmp_path: Path, damage: str) -> None:
    """Every part of it is bound to the box; absurd work is refused before it is done."""
    first = store(tmp_path).save(sample_login(access_token="one"))
    store(tmp_path).save(sample_login(access_token="two"))
    path = tmp_path / "state/credentials.sealed.json"
    sealed = json.loads(path.read_bytes())
    changed = {
        "box": {"box": sealed["box"][:-8] + "AAAAAAA="},
        "nonce": {"nonce": "A" * 16},
        "n": {"n": -1},
        "schema": {"schema": "keystead.sealed/9"},
        "work": {"n": 2**30},
    }.get(damage)
    path.write_bytes(
        json.dumps(sealed).encode()[:-20] if changed is None else json.dumps({**sealed, **changed}).encode()
    )

    assert store(tmp_path).load(LoginKind.GATEWAY) == first
    third = store(tmp_path).save(sample_login(access_token="three"))
    assert store(tmp_path).load(LoginKind.GATEWAY) == third


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(StoreUnavailable, match="cryptography") as caught:
        place(tmp_path)

    assert "pip install" in (caught.value.hint or "")
