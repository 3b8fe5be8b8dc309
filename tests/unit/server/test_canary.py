"""A secret given to the control plane is found again only as its hash."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING

import pytest

from keystead.wire import tokens

if TYPE_CHECKING:
    from django.test import Client

PASSWORD = "canary horse battery staple"


def everything_in(database: Path) -> bytes:
    """Return every byte of the database, with what still waits in its write-ahead log."""
    return b"".join(file.read_bytes() for file in database.parent.glob("keystead.sqlite3*"))


def test_no_secret_of_set_up_sign_in_or_keys_is_stored_or_logged(
    web: "Client", database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from keystead.server.identity import operations

    code = operations.new_setup_code(datetime.now(UTC), token_bytes, timedelta(hours=1))
    assert code is not None
    names = {"organization": "Example", "name": "Ada", "email": "ada@example.com"}
    web.post("/setup", {"code": code, "password": "a canary", **names})
    web.post("/setup", {"code": code, "password": PASSWORD, **names})
    web.post("/account/logout/")
    web.post("/account/login/", {"login": "ada@example.com", "password": PASSWORD + " wrong"})
    web.post("/account/login/", {"login": "ada@example.com", "password": PASSWORD})
    created = web.post("/keys", {"name": "laptop", "purpose": "agent"})
    key = re.search(r"ksk_\w{49}", created.content.decode())
    assert key is not None
    web.get(f"/no/such/page/{key[0]}")

    stored = everything_in(database)
    printed = "".join(capfd.readouterr())
    for secret in (code, PASSWORD, "a canary", key[0]):
        assert secret.encode() not in stored
        assert secret not in printed
    assert tokens.digest(key[0]) in stored
