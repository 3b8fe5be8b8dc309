"""The stored record."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.credentials import Account, BillingClass, Login, LoginKind, OAuthTokens
from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.stores.record import MalformedRecord, Record, dump, parse
from keystead.testing.store_contract import sample_login

_text = st.text(max_size=20)
_seconds = st.floats(0, 1e10, allow_nan=False)
_unknown = st.dictionaries(st.text(min_size=1).map("x_".__add__), st.none() | st.integers() | _text, max_size=3)


@st.composite
def logins(draw: st.DrawFn) -> Login:
    extra: dict[str, Any] = draw(_unknown)
    for nested in ("tokens", "account"):
        inner = draw(_unknown)
        if inner:
            extra[nested] = inner
    return Login(
        kind=draw(st.sampled_from(LoginKind)),
        issuer=draw(_text),
        api_base=draw(_text),
        token_endpoint=draw(_text),
        revocation_endpoint=draw(st.none() | _text),
        client_id=draw(_text),
        tokens=OAuthTokens(
            Secret(draw(_text)),
            draw(st.none() | _text.map(Secret)),
            draw(_seconds),
            draw(_seconds),
            draw(_text),
            draw(st.floats(-1e6, 1e6, allow_nan=False)),
            *draw(st.just((None, None)) | st.tuples(_text.map(Secret), st.none() | _seconds)),
        ),
        account=Account(*(draw(st.none() | _text) for _ in range(5))),
        billing=draw(st.sampled_from(BillingClass)),
        allowed_origins=frozenset(draw(st.lists(_text, max_size=3))),
        upstream=draw(st.none() | _text),
        generation=draw(st.integers(0, 10**9)),
        retired_at=draw(st.none() | _seconds),
        extra=tuple(sorted(extra.items())),
    )


_profiles = st.sampled_from(["default", "work", "personal"])


@given(st.lists(st.tuples(_profiles, logins()), max_size=3), _unknown)
def test_what_is_dumped_is_parsed(some: list[tuple[str, Login]], extra: dict[str, Any]) -> None:
    """Every field of every login of every profile, known or not."""
    record = Record("0" * 32, {(profile, login.kind): login for profile, login in some}, extra)

    again = parse(dump(record))

    assert {kind: _sorted(one) for kind, one in again.logins.items()} == record.logins
    assert (again.store_id, again.extra) == (record.store_id, record.extra)
    assert dump(again) == dump(parse(dump(again)))


def _sorted(login: Login) -> Login:
    return replace(login, extra=tuple(sorted(login.extra)))


BEFORE_PROFILES = b"""{
 "schema": "keystead.credentials/1",
 "store_id": "5f0c2a9e6d1b4c7f8a3e9b0d2c4f6a81",
 "logins": {
  "gateway": {
   "issuer": "https://keys.example.com",
   "api_base": "https://keys.example.com",
   "token_endpoint": "https://keys.example.com/oauth/token",
   "revocation_endpoint": "https://keys.example.com/oauth/revoke",
   "client_id": "keystead-cli",
   "tokens": {
    "access_token": "access-1",
    "refresh_token": "refresh-1",
    "issued_at": 1795000000.0,
    "expires_in": 3600.0,
    "scope": "models:use",
    "clock_skew": 0.5
   },
   "account": {
    "id": "per_1",
    "email": "ada@example.com",
    "name": "Ada",
    "organization_id": "org_1",
    "organization_name": "Example"
   },
   "billing": "gateway",
   "allowed_origins": [
    "https://keys.example.com"
   ],
   "upstream": "test",
   "generation": 1,
   "retired_at": null,
   "later": {
    "field": [1, 2]
   }
  }
 }
}
"""
"""As the versions before profiles wrote it; not to be edited."""


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_record_or_a_fault(data: bytes) -> None:
    """Nothing else comes out of the parser."""
    with pytest.raises(MalformedRecord):
        parse(data)


@given(st.data())
def test_any_damage_to_one_value_is_a_fault_or_a_record(data: st.DataObject) -> None:
    """Wrong types anywhere do not crash."""
    document = json.loads(dump(Record("0" * 32, {("default", LoginKind.GATEWAY): sample_login()})))
    login = document["logins"]["gateway"]
    where = data.draw(st.sampled_from([document, document["logins"], login, login["tokens"], login["account"]]))
    name = data.draw(st.sampled_from(sorted(where)))
    where[name] = data.draw(st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.none(), max_size=1))

    try:
        parsed = parse(json.dumps(document).encode())
    except MalformedRecord:
        return
    assert parse(dump(parsed)) == parsed


def test_fields_of_a_later_version_survive_at_every_level() -> None:
    """An older version may rewrite what a newer one stored."""
    document = json.loads(dump(Record("0" * 32, {("default", LoginKind.GATEWAY): sample_login()})))
    document["later"] = {"a": 1}
    document["logins"]["passkey"] = {"some": "kind"}
    document["profiles"] = {"work": {"colour": "red", "logins": {"passkey": {"another": "kind"}}}}
    document["logins"]["gateway"]["tokens"]["bound_key"] = "thumbprint"
    document["logins"]["gateway"]["account"]["plan"] = "team"

    assert json.loads(dump(parse(json.dumps(document).encode()))) == document


def test_a_file_from_before_profiles_is_the_default_profile() -> None:
    """Read without loss, and what such a version reads of a newer file is the same as ever."""
    document = json.loads(BEFORE_PROFILES)

    record = parse(BEFORE_PROFILES)

    assert set(record.logins) == {("default", LoginKind.GATEWAY)}
    assert record.logins["default", LoginKind.GATEWAY].tokens.access_token == Secret("access-1")
    assert json.loads(dump(record)) == document
    newer = json.loads(dump(record.with_login("work", sample_login())))
    assert newer.pop("profiles")["work"]["logins"]["gateway"]["issuer"] == "https://keys.example.com"
    assert newer == document


@pytest.mark.parametrize(("old", "new"), [("default", "work"), ("work", "default"), ("work", "personal")])
def test_a_renamed_profile_takes_its_unknown_logins_along(old: str, new: str) -> None:
    """And leaves nothing under the old name."""
    held = {"passkey": {"some": "kind"}}
    start = {"logins": held} if old == "default" else {"logins": {}, "profiles": {old: {"logins": held}}}
    document = {"schema": "keystead.credentials/1", "store_id": "0", **start}
    record = parse(json.dumps(document).encode()).with_login(old, sample_login())

    moved = json.loads(dump(record.renamed(old, new)))

    home = moved["logins"] if new == "default" else moved["profiles"][new]["logins"]
    left = moved["logins"] if old == "default" else moved["profiles"].get(old, {})
    assert home.keys() == {"gateway", "passkey"}
    assert not left


def test_a_profile_is_not_renamed_over_another() -> None:
    """That would lose a login."""
    record = Record("0", {("default", LoginKind.GATEWAY): sample_login(), ("work", LoginKind.ACCOUNT): sample_login()})

    with pytest.raises(ConfigurationError, match="work"):
        record.renamed("default", "work")


def test_another_schema_is_not_guessed_at() -> None:
    """A version-2 file is not read as version 1."""
    with pytest.raises(MalformedRecord, match="schema"):
        parse(b'{"schema": "keystead.credentials/2", "store_id": "0", "logins": {}}')
