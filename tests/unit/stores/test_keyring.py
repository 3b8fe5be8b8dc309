"""The operating system's keyring, asked in a real process: what it keeps, and what it does wrong (R-08)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import LoginKind
from keystead.drivers.keyring import KeyringProcess
from keystead.errors import StoreUnavailable, UnreadableFile
from keystead.secret import Secret
from keystead.stores.kept import RecordStore
from keystead.stores.keyring import KeyringPlace, registered
from keystead.testing.store_contract import sample_login

KIND = LoginKind.GATEWAY
KEYRINGS = Path(__file__).resolve().parents[2] / "support/keyrings"


class Scene:
    """A state directory, and a keyring that can be told how to behave."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "state"
        self.items_file = root / "keyring.json"

    def ask(self, way: str = "", deadline: float = 30.0) -> KeyringProcess:
        variables = {
            "PYTHONPATH": str(KEYRINGS),
            "PYTHON_KEYRING_BACKEND": "fake_keyring.Keyring",
            "FAKE_KEYRING_FILE": str(self.items_file),
            "FAKE_KEYRING": way,
        }
        return KeyringProcess(variables, deadline)

    def store(self, way: str = "", *, largest: int | None = None, deadline: float = 30.0) -> RecordStore:
        place = KeyringPlace("id-1", self.directory, self.ask(way, deadline), largest=largest)
        return RecordStore(self.directory, place, SYSTEM_CLOCK, summary=self.directory / "credentials.summary.json")

    @property
    def items(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.items_file.read_text()) if self.items_file.exists() else {}
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.requirement("R-08 keyring")
def test_the_tokens_are_in_the_keyring_and_in_no_file(scene: Scene) -> None:
    """The state directory has locks and the summary; looking at it asks no keyring."""
    saved = scene.store().save(sample_login(access_token="canary-access"))

    assert scene.store().load(KIND) == saved
    assert all(b"canary" not in file.read_bytes() for file in scene.directory.iterdir())
    assert "canary-access" in scene.items["keystead/id-1/current"]
    seen = scene.store("fail").peek(KIND)
    assert seen is not None
    assert (seen.account, seen.generation) == (saved.account, saved.generation)
    assert scene.store("fail").profiles() == ("default",)


@pytest.mark.requirement("R-08 deadline")
@pytest.mark.parametrize(
    ("way", "deadline", "message"),
    [
        ("hang", 0.5, "did not answer within 0.5 s"),
        ("locked", 30.0, "it is locked"),
        ("crash", 30.0, "ended without an answer"),
        ("fail", 30.0, r"it failed \(RuntimeError\)"),
    ],
)
def test_a_keyring_that_does_not_answer_is_unavailable_and_never_empty(
    scene: Scene, way: str, deadline: float, message: str
) -> None:
    """Reading and writing say so and name a way out; nothing that was kept is touched, nobody is logged out."""
    saved = scene.store().save(sample_login())
    before = scene.items
    broken = scene.store(way, deadline=deadline)

    with pytest.raises(StoreUnavailable, match=message) as caught:
        broken.load(KIND)
    with pytest.raises(StoreUnavailable, match=message):
        broken.save(replace(saved, issuer="https://new.example"))

    assert "keystead store use file" in (caught.value.hint or "")
    assert "canary" not in caught.value.message
    assert scene.items == before
    assert scene.store().load(KIND) == saved


@pytest.mark.requirement("R-08 read back")
@pytest.mark.parametrize("way", ["drop", "truncate"])
def test_a_keyring_that_lies_is_found_out_before_the_old_login_is_touched(scene: Scene, way: str) -> None:
    """What was written is read back by another process, from a place of its own first."""
    saved = scene.store().save(sample_login())
    large = replace(saved, tokens=replace(saved.tokens, access_token=Secret("x" * 3000)))

    with pytest.raises(StoreUnavailable, match="did not keep what was written"):
        scene.store(way).save(large)

    assert scene.store().load(KIND) == saved


@pytest.mark.requirement("R-08 large")
def test_a_value_larger_than_an_item_is_kept_in_parts(tmp_path: Path) -> None:
    """As on Windows. The parts of values that nothing lists any more are removed, a lost part is damage."""
    items: dict[str, str] = {}
    store = store_in(items, tmp_path / "state", 500)
    store.save(sample_login(access_token="one" * 300))
    second = store.save(sample_login(access_token="two" * 300))

    assert max(map(len, items.values())) <= 500
    assert store.load(KIND) == second
    store.save(second)
    assert len([name for name in items if name.endswith(("a0", "b0"))]) == 2

    series = json.loads(items["id/current"])["series"]
    del items[f"id/current.{series}1"]
    found = store.load(KIND)
    assert found is not None
    assert found.tokens == second.tokens
    assert found.generation == second.generation


def test_a_value_larger_than_all_parts_is_refused_by_name(scene: Scene) -> None:
    """Nothing of it is written."""
    with pytest.raises(StoreUnavailable, match="too large for this keyring"):
        scene.store(largest=20).save(sample_login())
    assert scene.items == {}


class Died(BaseException):
    """The process was killed here."""


@pytest.mark.requirement("R-02 killed")
@pytest.mark.parametrize("largest", [None, 400])
def test_a_writer_killed_between_any_two_operations_leaves_the_old_login_or_the_new_one(
    tmp_path: Path, largest: int | None
) -> None:
    """And the next write leaves nothing of it behind."""
    died = 0
    for fatal in range(1, 400):
        items: dict[str, str] = {}
        store = store_in(items, tmp_path / f"{largest}-{fatal}", largest)
        store.save(sample_login(access_token="one" * 99))
        before = store.save(sample_login(access_token="two" * 99))
        try:
            store_in(items, tmp_path / f"{largest}-{fatal}", largest, fatal).save(
                sample_login(access_token="canary" * 99)
            )
        except Died:
            died += 1
        found = store.load(KIND)
        assert found is not None
        assert found.generation == before.generation or "canary" in found.tokens.access_token.reveal()
        for _ in range(2):
            store.save(sample_login(access_token="four" * 99))
        assert "canary" not in json.dumps(items)
        if died < fatal:
            break
    assert died > 8


def store_in(items: dict[str, str], directory: Path, largest: int | None, fatal: int = 0) -> RecordStore:
    """Return a store on a keyring in ``items``, which dies before the operation with number ``fatal``."""
    count = 0

    def operate(action: str, name: str, value: str = "") -> str | None:
        nonlocal count
        count += 1
        if count == fatal:
            raise Died
        if action == "set":
            items[name] = value
        if action == "delete":
            items.pop(name, None)
        return items.get(name) if action == "get" else None

    place = KeyringPlace("id", directory, lambda asked: [operate(*one) for one in asked], largest=largest)
    return RecordStore(directory, place, SYSTEM_CLOCK, summary=directory / "summary.json")


@pytest.mark.requirement("R-08 keyring")
def test_a_keyring_that_lost_the_login_is_an_error_until_somebody_signs_in(scene: Scene) -> None:
    """It may be another keyring, or one that was reset; silence would mean that another account pays."""
    scene.store().save(sample_login())
    scene.items_file.unlink()

    with pytest.raises(UnreadableFile, match="no longer holds"):
        scene.store().load(KIND)

    saved = scene.store().save(sample_login())
    assert scene.store().load(KIND) == saved


@pytest.mark.requirement("R-16 leftovers")
@pytest.mark.parametrize("largest", [None, 400])
def test_a_deleted_login_is_nowhere(tmp_path: Path, largest: int | None) -> None:
    """Neither in the item nor in the one before it, nor in their parts."""
    items: dict[str, str] = {}
    store = store_in(items, tmp_path / "state", largest)
    store.save(sample_login(access_token="canary-one"))
    store.save(sample_login(access_token="canary-two"))

    store.delete(KIND)

    assert "canary" not in json.dumps(items)
    assert store.load(KIND) is None
    assert store.peek(KIND) is None


def test_the_list_of_stores_names_the_directory(scene: Scene) -> None:
    """No keyring can be asked what it holds for us; the entry goes with the last item."""
    store = scene.store()
    store.save(sample_login())
    assert registered(scene.ask()) == {"id-1": str(scene.directory)}

    store.discard()
    assert registered(scene.ask()) == {}
    assert set(scene.items) == {"keystead/stores"}


def test_a_module_of_the_project_does_not_take_the_place_of_the_worker(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory of a clone is on nobody's path (R-07)."""
    for name in ("keystead", "keyring", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)

    assert scene.ask()([("get", "nothing")]) == [None]


def test_a_missing_extra_and_a_missing_keyring_are_named(scene: Scene, tmp_path: Path) -> None:
    """Each with its fix."""
    (tmp_path / "keyring.py").write_text("raise ImportError")
    absent = KeyringProcess({"PYTHONPATH": str(tmp_path)}, 30.0)
    null = KeyringProcess({"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}, 30.0)

    with pytest.raises(StoreUnavailable, match="not installed") as caught:
        absent([("get", "x")])
    assert "keystead[keyring]" in (caught.value.hint or "")
    with pytest.raises(StoreUnavailable, match="no keyring"):
        null([("get", "x")])


def test_credentials_of_the_environment_are_not_shown_to_the_keyring(tmp_path: Path) -> None:
    """Its libraries have no use for them."""
    seen = tmp_path / "seen"
    (tmp_path / "keyring.py").write_text(f"import os, pathlib\npathlib.Path({str(seen)!r}).write_text(str(os.environ))")
    variables = {"PYTHONPATH": str(tmp_path), "ANTHROPIC_API_KEY": "canary", "KEYSTEAD_X": "canary", "DISPLAY": ":0"}

    with pytest.raises(StoreUnavailable):
        KeyringProcess(variables, 30.0)([("get", "x")])

    assert "canary" not in seen.read_text()
    assert ":0" in seen.read_text()
