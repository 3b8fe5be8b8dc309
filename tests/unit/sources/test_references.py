import os
from pathlib import Path

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import KeysteadError
from keystead.sources import references
from keystead.sources.references import SCHEMES, Place

NAME = "KEYSTEAD_SERVER_UPSTREAM_API_KEY"


def place(root: Path, **variables: str) -> Place:
    return Place({"PATH": os.defpath, **variables}, root, root, SYSTEM_CLOCK, given=(root / "given",))


def write(path: Path, content: str = "the-key\n", mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def failure(text: str, where: Place) -> str:
    with pytest.raises(KeysteadError) as caught:
        references.resolve(text, NAME, where)
    assert caught.value.hint
    assert caught.value.exit_code == 78
    assert "canary" not in caught.value.message
    return caught.value.message


@pytest.mark.requirement("R-27 references")
def test_every_scheme_is_read(tmp_path: Path) -> None:
    key = write(tmp_path / "key")
    write(tmp_path / "credentials/key", mode=0o440)
    write(tmp_path / "given/key", mode=0o444)
    reader, writer = os.pipe()
    os.write(writer, b"the-key\n")
    os.close(writer)
    where = place(tmp_path, OTHER="the-key", CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))

    for text in (
        f"file:{key}", "file:~/key", f"file:{tmp_path}/given/key", "env:OTHER", "exec:printf the-key", f"fd:{reader}",
        "systemd:key",
    ):  # fmt: skip
        assert references.is_reference(text)
        assert references.resolve(text, NAME, where).reveal() == "the-key", text
    os.close(reader)


@pytest.mark.parametrize("value", ["sk-ant-api03-x", "ksk_abc", "", "https://example.com", "files:x"])
def test_a_key_is_not_a_reference(value: str) -> None:
    assert not references.is_reference(value)


@pytest.mark.requirement("R-27 modes")
@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("key", 0o640, "open to other users"),
        ("key", 0o604, "open to other users"),
        ("given/key", 0o666, "only its owner"),
    ],
)
def test_a_file_that_others_can_reach_is_refused(name: str, mode: int, says: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, "canary", mode)

    assert says in failure(f"file:{path}", place(tmp_path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file:relative", "not a whole path"),
        ("file:/nowhere/at/all", "does not exist"),
        ("file:", "names nothing"),
        ("env:NOT_SET", "NOT_SET, which is not set"),
        ("exec:false", "exit code 1"),
        ("exec:printf 'unclosed", "not a command"),
        ("exec:no-such-program", "could not be started"),
        ("exec:printf 'canary two'", "a space"),
        ("fd:x", "not the number"),
        ("fd:9999", "cannot be read"),
        ("keyring:service", "service and user"),
        ("systemd:key", "CREDENTIALS_DIRECTORY is not set"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, says: str, tmp_path: Path) -> None:
    assert says in failure(text, place(tmp_path))


def test_a_systemd_name_stays_in_its_directory(tmp_path: Path) -> None:
    write(tmp_path / "key", "canary")
    where = place(tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))

    assert "not the name" in failure("systemd:../key", where)


def test_a_command_is_run_without_a_shell(tmp_path: Path) -> None:
    assert references.resolve("exec:printf %s a;b", NAME, place(tmp_path)).reveal() == "a;b"


def test_the_content_is_checked_like_any_secret(tmp_path: Path) -> None:
    path = write(tmp_path / "key", "canary\nsecond\n")

    assert "a line break at character 7" in failure(f"file:{path}", place(tmp_path))


def test_a_keyring_is_asked_in_a_process_of_its_own(tmp_path: Path) -> None:
    """A made-up keyring module stands for the real one; it sees service and user, and no shell."""
    module = tmp_path / "modules/keyring"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("")
    (module / "__main__.py").write_text("import sys; print('-'.join(sys.argv[1:]))")
    where = place(tmp_path, PYTHONPATH=str(tmp_path / "modules"))

    assert references.resolve("keyring:my/service/ada", NAME, where).reveal() == "get-my/service-ada"


def test_each_scheme_is_documented() -> None:
    assert all(scheme.form.startswith(f"{name}:") and scheme.sentence for name, scheme in SCHEMES.items())
