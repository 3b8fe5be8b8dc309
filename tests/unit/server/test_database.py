"""Which database an installation uses, and which addresses are none."""

from pathlib import Path
from typing import Any

import pytest

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.settings import ServerSettings, load
from keystead.server.site.database import configuration


def chosen(url: str | None) -> dict[str, Any]:
    return configuration(ServerSettings(data_dir=Path("d"), database_url=None if url is None else Secret(url)))


def test_without_an_address_it_is_sqlite_in_the_data_directory() -> None:
    assert chosen(None)["NAME"] == Path("d/keystead.sqlite3")


def test_an_address_becomes_what_django_asks_for() -> None:
    found = chosen("postgresql://me:p%40ss@db:6432/keystead?sslmode=verify-full&options=-c%20work_mem%3D8MB")
    assert [found[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")] == [
        *("keystead", "me", "p@ss", "db", "6432")
    ]
    assert found["OPTIONS"]["sslmode"] == "verify-full"
    assert found["OPTIONS"]["options"].endswith("-c work_mem=8MB")
    assert "lock_timeout" in found["OPTIONS"]["options"]


@pytest.mark.parametrize(
    "url", ["", "mysql://u:geheim@h/n", "postgresql://u:geheim@h", "dbname=geheim", "postgresql://geheim:x:y@h/n?no=1"]
)
def test_anything_else_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        chosen(url)
    assert "geheim" not in f"{caught.value.message} {caught.value.hint}"


def test_the_address_is_a_secret_and_may_be_a_reference(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:geheim@h/n")
    file.chmod(0o600)
    variables = {
        "KEYSTEAD_SERVER_DATA_DIR": str(tmp_path),
        "KEYSTEAD_SERVER_DATABASE_URL": f"file:{file}",
        "HOME": str(tmp_path),
    }
    settings = load(variables)
    assert settings.database_url is not None
    assert settings.database_url.reveal() == "postgresql://u:geheim@h/n"
    assert "geheim" not in repr(settings)
