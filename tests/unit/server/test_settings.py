"""Server settings: variables win over the file, and nothing unknown or ill-typed passes."""

from dataclasses import replace
from pathlib import Path

import pytest

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.settings import ServerSettings, load


def variables(tmp_path: Path, **settings: str) -> dict[str, str]:
    return {"KEYSTEAD_SERVER_DATA_DIR": str(tmp_path)} | {
        f"KEYSTEAD_SERVER_{name.upper()}": value for name, value in settings.items()
    }


def test_the_defaults_listen_on_loopback(tmp_path: Path) -> None:
    settings = load(variables(tmp_path))

    assert settings.base_url == "http://127.0.0.1:8420"
    assert settings.data_dir == tmp_path
    assert settings.upstream_api_key is None


def test_the_data_directory_follows_xdg(tmp_path: Path) -> None:
    assert load({"XDG_DATA_HOME": str(tmp_path)}).data_dir == tmp_path / "keystead" / "server"
    assert load({"HOME": str(tmp_path)}).data_dir == tmp_path / ".local" / "share" / "keystead" / "server"


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "keystead.toml").write_text('port = 1\nhost = "127.0.0.2"\n')

    settings = load(variables(tmp_path, port="2"))

    assert (settings.host, settings.port) == ("127.0.0.2", 2)


def test_an_ipv6_host_is_bracketed(tmp_path: Path) -> None:
    assert load(variables(tmp_path, host="::1")).base_url == "http://[::1]:8420"


def test_the_public_address_is_the_issuer(tmp_path: Path) -> None:
    assert load(variables(tmp_path, public_url="https://keys.example.com/")).base_url == "https://keys.example.com"


def test_the_upstream_key_is_a_secret_from_the_start(tmp_path: Path) -> None:
    settings = load(variables(tmp_path, upstream_api_key="sk-canary"))

    assert settings.upstream_api_key == Secret("sk-canary")
    assert "sk-canary" not in repr(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prot": "1"}, "KEYSTEAD_SERVER_PROT is not a setting"),
        ({"port": "many"}, "KEYSTEAD_SERVER_PORT must be a whole number"),
        ({"port": "-1"}, "KEYSTEAD_SERVER_PORT must be a whole number, not negative"),
        ({"browser_session_hours": "0"}, "KEYSTEAD_SERVER_BROWSER_SESSION_HOURS must be a whole number, 1 or more"),
        ({"browser_session_idle_minutes": "9"}, "BROWSER_SESSION_IDLE_MINUTES must be a whole number, 10 or more"),
        ({"allow_test_upstream": "perhaps"}, "KEYSTEAD_SERVER_ALLOW_TEST_UPSTREAM must be true or false"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        load(variables(tmp_path, **settings))

    assert raised.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("port = ", "cannot be read as TOML"),
        ("colour = 1", "colour is not a setting"),
        ("host = 1", "must be a string"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "keystead.toml"
    path.write_text(content)

    with pytest.raises(ConfigurationError, match=message) as raised:
        load(variables(tmp_path))

    assert str(path) in raised.value.message


@pytest.mark.requirement("R-27 references")
def test_a_secret_may_be_a_reference(tmp_path: Path) -> None:
    """In the variable and in the file alike."""
    path = tmp_path / "key"
    path.write_text("the-key\n")
    path.chmod(0o600)

    assert load(variables(tmp_path, upstream_api_key=f"file:{path}")).upstream_api_key == Secret("the-key")
    (tmp_path / "keystead.toml").write_text('upstream_api_key = "env:ELSEWHERE"')
    assert load({**variables(tmp_path), "ELSEWHERE": "the-key"}).upstream_api_key == Secret("the-key")


@pytest.mark.requirement("R-27 modes")
def test_a_reference_to_an_open_file_stops_the_server(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("canary\n")
    path.chmod(0o644)

    with pytest.raises(ConfigurationError, match="open to other users") as raised:
        load(variables(tmp_path, upstream_api_key=f"file:{path}"))

    assert raised.value.move == "operator"


def test_a_server_without_an_upstream_of_its_own_takes_no_key_for_it(tmp_path: Path) -> None:
    from keystead.server.installation import check_upstream

    none = ServerSettings(data_dir=tmp_path, upstream_url="none", allow_test_upstream=False)
    check_upstream(none)
    with pytest.raises(ConfigurationError, match="API_KEY is set, and KEYSTEAD_SERVER_UPSTREAM_URL is none"):
        check_upstream(replace(none, upstream_api_key=Secret("k")))
