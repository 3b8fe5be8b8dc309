"""The stored record."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.credentials import Account, BillingClass, Login, LoginKind, OAuthTokens
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
        ),
        account=Account(*(draw(st.none() | _text) for _ in range(5))),
        billing=draw(st.sampled_from(BillingClass)),
        allowed_origins=frozenset(draw(st.lists(_text, max_size=3))),
        upstream=draw(st.none() | _text),
        generation=draw(st.integers(0, 10**9)),
        retired_at=draw(st.none() | _seconds),
        extra=tuple(sorted(extra.items())),
    )


@given(st.lists(logins(), max_size=2), _unknown)
def test_what_is_dumped_is_parsed(some: list[Login], extra: dict[str, Any]) -> None:
    """Every field of every login, known or not."""
    record = Record("0" * 32, {login.kind: login for login in some}, extra)

    again = parse(dump(record))

    assert {kind: _sorted(one) for kind, one in again.logins.items()} == record.logins
    assert (again.store_id, again.extra) == (record.store_id, record.extra)
    assert dump(again) == dump(parse(dump(again)))


def _sorted(login: Login) -> Login:
    return replace(login, extra=tuple(sorted(login.extra)))


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_record_or_a_fault(data: bytes) -> None:
    """Nothing else comes out of the parser."""
    with pytest.raises(MalformedRecord):
        parse(data)


@given(st.data())
def test_any_damage_to_one_value_is_a_fault_or_a_record(data: st.DataObject) -> None:
    """Wrong types anywhere do not crash."""
    document = json.loads(dump(Record("0" * 32, {LoginKind.GATEWAY: sample_login()})))
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
    document = json.loads(dump(Record("0" * 32, {LoginKind.GATEWAY: sample_login()})))
    document["later"] = {"a": 1}
    document["logins"]["passkey"] = {"some": "kind"}
    document["logins"]["gateway"]["tokens"]["bound_key"] = "thumbprint"
    document["logins"]["gateway"]["account"]["plan"] = "team"

    assert json.loads(dump(parse(json.dumps(document).encode()))) == document


def test_another_schema_is_not_guessed_at() -> None:
    """A version-2 file is not read as version 1."""
    with pytest.raises(MalformedRecord, match="schema"):
        parse(b'{"schema": "keystead.credentials/2", "store_id": "0", "logins": {}}')
