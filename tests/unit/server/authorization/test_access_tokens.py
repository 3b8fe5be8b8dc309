"""Access tokens: what they say, and everything that must not pass for one (RFC 9068, RFC 8725)."""

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

ISSUER = "http://127.0.0.1:8420"


@pytest.fixture
def signed(administrator: Any, clock: Any) -> str:
    """The access token of a fresh sign-in."""
    from keystead.server.authorization import access_tokens, clients, sign_ins
    from keystead.server.authorization.surroundings import now
    from keystead.server.identifiers import new_id

    client = clients.find("keystead-cli")
    redeemed = sign_ins.begin(sign_ins.Approval(client, administrator, "openid models:use"), "test", now())
    return access_tokens.sign(redeemed.grant, redeemed.scope, new_id(), now())[0]


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


def encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def resigned(token: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return the token with changes, signed with the installation's own key."""
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now

    _, key = keys.signing_key(now())
    old_header, old_claims = parts(token)
    changed = {name: value for name, value in {**old_claims, **claims}.items() if value is not None}
    merged = {name: value for name, value in {**old_header, **(header or {})}.items() if value is not None}
    return jwt.encode(merged, changed, key, ["ES256"], default_type=None)


def verify(token: str, clock: Any) -> Any:
    from keystead.server.authorization import operations

    return operations.verify_access_token(token, clock.now(), operations.verification_keys(clock.now()))


@pytest.mark.requirement("rfc9068 2.1", "rfc9068 2.2")
def test_a_token_says_whose_it_is(signed: str, administrator: Any, clock: Any) -> None:
    header, claims = parts(signed)
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert claims["iss"] == claims["aud"] == ISSUER
    assert claims["exp"] - claims["iat"] == 3600
    principal = verify(signed, clock)
    assert principal.id == claims["sid"]
    assert principal.member_id == f"mem_{administrator.id.hex}"
    assert principal.organization_id == f"org_{administrator.organization_id.hex}"
    assert principal.workspace_id.startswith("wrk_")
    assert principal.client_id == "keystead-cli"


def test_an_unchanged_copy_passes(signed: str, clock: Any) -> None:
    assert verify(resigned(signed), clock) is not None


@pytest.mark.requirement("rfc9068 4")
@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "https://evil.example"},
        {"aud": [ISSUER, "https://evil.example"]},
        {"iss": None},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": 1e400},
        {"iat": 9_999_999_999},
        {"sid": None},
        {"sub": 5},
        {"org": ["org_x"]},
        {"scope": "openid"},
    ],
)
def test_our_own_signature_is_not_enough(signed: str, clock: Any, changes: dict[str, Any]) -> None:
    assert verify(resigned(signed, **changes), clock) is None


@pytest.mark.requirement("rfc9068 4")
@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": None}, {"kid": "unknown"}, {"kid": None}])
def test_another_type_or_key_is_refused(signed: str, clock: Any, header: dict[str, Any]) -> None:
    assert verify(resigned(signed, header), clock) is None


@pytest.mark.requirement("rfc8725 3.1")
def test_an_unsigned_token_is_refused(signed: str, clock: Any) -> None:
    header, claims = parts(signed)
    for algorithm in ("none", "None", "NONE", ""):
        assert verify(f"{encoded({**header, 'alg': algorithm})}.{encoded(claims)}.", clock) is None


@pytest.mark.requirement("rfc8725 3.1")
def test_the_public_key_does_not_pass_as_a_shared_secret(signed: str, clock: Any) -> None:
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now

    header, claims = parts(signed)
    public = keys.verification_key(header["kid"], now())
    assert public is not None
    for secret in (public.as_pem(private=False), json.dumps(public.as_dict(private=False)).encode()):
        content = f"{encoded({**header, 'alg': 'HS256'})}.{encoded(claims)}"
        mac = base64.urlsafe_b64encode(hmac.digest(secret, content.encode(), "sha256")).rstrip(b"=").decode()
        assert verify(f"{content}.{mac}", clock) is None


def test_a_stranger_signature_is_refused_even_with_its_key_inside(signed: str, clock: Any) -> None:
    header, claims = parts(signed)
    stranger = ECKey.generate_key("P-256")
    inside = {**header, "jwk": stranger.as_dict(private=False)}
    for one in (header, inside):
        assert verify(jwt.encode(one, claims, stranger, ["ES256"]), clock) is None


def test_a_token_ends_after_its_hour_and_the_leeway(signed: str, clock: Any) -> None:
    clock.sleep(3600 + 29)
    assert verify(signed, clock) is not None
    clock.sleep(1)
    assert verify(signed, clock) is None


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "\x00", "é.é.é", "e30.e30.e30", "x" * 100_000, "[" * 4000])
def test_noise_is_refused(database: object, clock: Any, token: str) -> None:
    assert verify(token, clock) is None


def test_the_private_key_rests_encrypted(signed: str, database: Any) -> None:
    from keystead.server.authorization import keys
    from keystead.server.authorization.models import SigningKey
    from keystead.server.authorization.surroundings import now

    private = keys.signing_key(now())[1].as_dict(private=True)["d"]
    assert isinstance(private, str)
    row = SigningKey.objects.get()
    assert private not in row.sealed
    assert "d" not in row.public_jwk
    assert "d" not in keys.jwks(now())["keys"][0]


def test_ended_sign_ins_are_known_and_announced(signed: str, administrator: Any, clock: Any) -> None:
    from keystead.server.authorization import operations, sign_ins
    from keystead.server.authorization.models import Grant
    from keystead.server.authorization.surroundings import now
    from keystead.server.changes import CHANGES, Change

    sid = parts(signed)[1]["sid"]
    assert operations.revoked_grants(clock.now()) == set()
    assert operations.grant_is_live(sid)
    heard: list[Change] = []
    stop = CHANGES.subscribe(heard.append)
    try:
        assert sign_ins.end(Grant.objects.get(), "per_x", "test", now())
        assert not sign_ins.end(Grant.objects.get(), "per_x", "test", now()), "it ends once"
    finally:
        stop()
    assert heard == [Change("grant", sid)]
    assert operations.revoked_grants(clock.now()) == {sid}
    assert not operations.grant_is_live(sid)
    assert operations.revoked_grants(clock.now() + 4000) == set(), "its access tokens have ended by themselves"


def test_the_sign_ins_of_a_closed_account_have_ended(signed: str, administrator: Any, clock: Any) -> None:
    from keystead.server.authorization import operations

    administrator.person.is_active = False
    administrator.person.save()
    sid = parts(signed)[1]["sid"]
    assert operations.revoked_grants(clock.now()) == {sid}
    assert not operations.grant_is_live(sid)


@pytest.mark.parametrize("grant_id", ["", "gra_", "gra_" + "0" * 32, "key_" + "0" * 32, "x" * 500])
def test_an_unknown_sign_in_is_not_live(database: object, grant_id: str) -> None:
    from keystead.server.authorization import operations

    assert not operations.grant_is_live(grant_id)
