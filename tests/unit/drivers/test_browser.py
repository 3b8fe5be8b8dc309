from pathlib import Path

import pytest

from keystead.drivers import browser
from keystead.environment import Environment

URL = "https://keys.example.com/oauth/authorize?state=s&x='y z'"


def environment(platform: str = "linux", **variables: str) -> Environment:
    return Environment(variables=variables, home=Path("/nowhere"), cwd=Path("/nowhere"), platform=platform)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (environment(), "there is no display"),
        (environment(DISPLAY=":0"), None),
        (environment(WAYLAND_DISPLAY="wayland-0"), None),
        (environment(WSL_DISTRO_NAME="Debian"), None),
        (environment(DISPLAY=":0", SSH_CONNECTION="a b c d"), "this is a remote session"),
        (environment("darwin"), None),
        (environment("darwin", SSH_TTY="/dev/ttys001"), "this is a remote session"),
        (environment("win32"), None),
        (environment(BROWSER="firefox", SSH_TTY="/dev/pts/1"), None),
    ],
)
def test_a_browser_opens_where_somebody_sees_it(given: Environment, expected: str | None) -> None:
    assert browser.obstacle(given, ()) == expected


def test_a_container_has_no_browser_even_with_a_display(tmp_path: Path) -> None:
    (tmp_path / ".dockerenv").touch()

    assert browser.obstacle(environment(DISPLAY=":0"), (tmp_path / ".dockerenv",)) == "this is a container"


def test_browser_names_the_commands_in_turn() -> None:
    given = environment(BROWSER="one --new %s:'two words' -x")

    assert browser.commands(URL, given)[:2] == [["one", "--new", URL], ["two words", "-x", URL]]


@pytest.mark.parametrize(
    ("platform", "expected"),
    [("darwin", "/usr/bin/open"), ("win32", "rundll32"), ("linux", "xdg-open")],
)
def test_the_platforms_own_opener_comes_after(platform: str, expected: str) -> None:
    command = browser.commands(URL, environment(platform))[0]

    assert (command[0], command[-1]) == (expected, URL)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name, script in {"works": 'printf "%s" "$1" > "$OUT"; echo noise', "fails": "exit 3"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_the_first_that_works_gets_the_address_whole(programs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = programs / "out"
    given = environment(BROWSER="missing:fails:works", PATH=f"{programs}:/usr/bin:/bin", OUT=str(out))

    assert browser.open_address(URL, given) is True
    assert out.read_text() == URL
    assert capfd.readouterr() == ("", "")


def test_nothing_that_works_is_said(programs: Path) -> None:
    given = environment(BROWSER="fails", PATH=str(programs))

    assert browser.open_address(URL, given) is False
