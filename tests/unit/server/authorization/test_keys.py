"""Rotating the signing keys: published ahead, overlapping, at once in an emergency, heard by a running server."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from keystead.server.changes import CHANGES

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def signed(program: Any, administrator: Any) -> str:
    """An access token of the first key."""
    from keystead.server.authorization import device_codes
    from keystead.server.authorization.surroundings import now

    started = program.post("/oauth/device_authorization")[1]
    waiting = device_codes.waiting(started["user_code"], now())
    assert waiting is not None
    assert device_codes.decide(waiting, device_codes.Answer(True, administrator), now())
    return str(program.token(grant_type=DEVICE, device_code=started["device_code"])[1]["access_token"])


def published(now: Any) -> set[str]:
    from keystead.server.authorization import keys

    return {key["kid"] for key in keys.jwks(now)["keys"]}


def test_a_new_key_is_published_before_it_signs_and_the_old_one_verifies_after(signed: str, clock: Any) -> None:
    from keystead.server.authorization import access_tokens, keys
    from keystead.server.authorization.surroundings import now

    old = keys.signing_key(now())[0]
    clock.sleep(1)
    done = keys.rotate(now())
    assert published(now()) == {old, done.kid}
    assert keys.signing_key(now())[0] == old, "those who keep the keys have not fetched the new one yet"
    clock.sleep(600)
    assert now() == done.signs_from
    assert keys.signing_key(now())[0] == done.kid
    assert access_tokens.verify(signed, clock.now()) is not None
    clock.sleep(timedelta(days=2).total_seconds())
    assert published(now()) == {done.kid}


def test_rotating_twice_in_a_row_keeps_one_key_that_everybody_knows(database: object, clock: Any) -> None:
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now

    first = keys.signing_key(now())[0]
    clock.sleep(3600)
    second = keys.rotate(now()).kid
    clock.sleep(60)
    third = keys.rotate(now()).kid
    order = []
    for _ in range(12):
        order.append(keys.signing_key(now())[0])
        clock.sleep(60)
    assert list(dict.fromkeys(order)) == [first, second, third]


def test_a_compromised_key_verifies_nothing_any_more(signed: str, clock: Any) -> None:
    from keystead.server.authorization import access_tokens, keys
    from keystead.server.authorization.surroundings import now

    done = keys.rotate(now(), compromised=True)
    assert keys.signing_key(now())[0] == done.kid
    assert published(now()) == {done.kid}
    assert access_tokens.verify(signed, clock.now()) is None


@pytest.fixture
def gateway(signed: str, clock: Any) -> Iterator[Any]:
    """What a running gateway knows, which has seen the token."""
    from keystead.server.background import truth
    from keystead.server.directory import SnapshotDirectory

    directory = SnapshotDirectory(truth(), clock, CHANGES)
    assert directory.by_bearer(signed.encode()) is not None
    yield directory
    directory.close()


def test_a_running_gateway_forgets_what_a_compromised_key_signed(gateway: Any, signed: str) -> None:
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now

    keys.rotate(now(), compromised=True)
    assert gateway.by_bearer(signed.encode()) is None


def test_a_rotation_in_another_process_is_heard_of_at_the_next_refresh(
    gateway: Any, signed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now

    monkeypatch.setattr(CHANGES, "_listeners", ())
    keys.rotate(now(), compromised=True)
    assert gateway.by_bearer(signed.encode()) is not None
    gateway.refresh()
    assert gateway.by_bearer(signed.encode()) is None


def run(*arguments: str) -> str:
    from keystead.server.command import server

    done = CliRunner().invoke(server, ["keys", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_rotates_and_says_what_follows(database: object, tmp_path: Any) -> None:
    place = ("--data-dir", str(tmp_path / "data"))
    first = json.loads(run("rotate", "--json", *place))
    assert (first["schema"], first["replaced"]) == ("keystead.signing-keys/1", [])
    text = run("rotate", *place)
    assert f"The key {first['new']['kid']} verifies until" in text
    listed = json.loads(run("list", "--json", *place))["keys"]
    assert [key["state"] for key in listed] == ["signing", "next"]
    assert listed[0]["kid"] in run("list", *place)
    assert "verifies nothing any more" in run("rotate", "--compromised", *place)
    assert [key["state"] for key in json.loads(run("list", "--json", *place))["keys"]] == ["signing"]


def test_every_signature_has_both_its_halves_in_full(database: Any, clock: Any) -> None:
    """One half in 128 begins with a zero, which RFC 7518 section 3.4 does not leave out; another library verifies."""
    from joserfc import jwt

    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now

    _, key = keys.signing_key(now())
    for number in range(300):
        claims = {"number": number, "text": 'ä "quoted"'}
        token = keys.sign("at+jwt", claims, now())
        assert len(token.rpartition(".")[2]) == 86
        decoded = jwt.decode(token, key, ["ES256"])
        assert (decoded.claims, decoded.header["typ"]) == (claims, "at+jwt")
