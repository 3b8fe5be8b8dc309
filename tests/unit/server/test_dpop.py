"""Proofs of possession: what holds, what does not, and the memory that lets each work once."""

import base64
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey
from proofs import Signer, token_hash

from keystead.server import dpop
from keystead.server.dpop import BadProof, Checker, Expected, Memory, Nonces

NOW = 1_700_000_000.0
URI = "https://keys.example.com/v1/messages"
ASKED = Expected("POST", URI)
SIGNER = Signer()


def reason(proof: str, expected: Expected = ASKED, now: float = NOW) -> str:
    with pytest.raises(BadProof) as raised:
        dpop.verify(proof, expected, now)
    assert raised.value.error == "invalid_dpop_proof"
    return raised.value.reason


@pytest.mark.requirement("rfc9449 4.3")
def test_a_proof_names_its_key_by_thumbprint() -> None:
    found = dpop.verify(SIGNER.proof("POST", URI, NOW, nonce="n", jti="1"), ASKED, NOW)
    assert (found.thumbprint, found.jti, found.nonce) == (SIGNER.thumbprint, "1", "n")
    assert found.until == NOW + 90


@pytest.mark.requirement("rfc9449 4.3")
@pytest.mark.parametrize(
    "uri",
    [
        f"{URI}?beta=true",
        f"{URI}#x",
        "https://keys.example.com:443/v1/messages",
        "HTTPS://KEYS.example.com/v1/messages",
    ],
)
def test_an_address_is_compared_without_query_and_default_port(uri: str) -> None:
    assert dpop.verify(SIGNER.proof("POST", uri, NOW), ASKED, NOW).thumbprint == SIGNER.thumbprint


@pytest.mark.requirement("rfc9449 4.3")
@pytest.mark.parametrize(
    ("method", "uri", "changes", "because"),
    [
        ("GET", URI, {}, "htm"),
        ("post", URI, {}, "htm"),
        ("POST", URI + "/", {}, "htu"),
        ("POST", "https://keys.example.com.evil.example/v1/messages", {}, "htu"),
        ("POST", "https://keys.example.com@evil.example/v1/messages", {}, "htu"),
        ("POST", "http://keys.example.com/v1/messages", {}, "htu"),
        ("POST", "https://keys.example.com:8443/v1/messages", {}, "htu"),
        ("POST", "https://[::1/v1/messages", {}, "htu"),
        ("POST", URI, {"htu": 5}, "htu"),
        ("POST", URI, {"iat": None}, "iat"),
        ("POST", URI, {"iat": NOW - 90}, "too old"),
        ("POST", URI, {"iat": NOW + 31}, "future"),
        ("POST", URI, {"iat": "now"}, "iat"),
        ("POST", URI, {"iat": 1e300}, "iat"),
        ("POST", URI, {"jti": None}, "jti"),
        ("POST", URI, {"jti": ""}, "jti"),
        ("POST", URI, {"jti": "x" * 257}, "jti"),
        ("POST", URI, {"jti": 5}, "jti"),
        ("POST", URI, {"nonce": 5}, "nonce"),
        ("POST", URI, {"nonce": "\ud800"}, "half a character"),
        ("POST", URI, {"jti": "\udfff"}, "half a character"),
        ("POST", URI, {"jti": "a\0b"}, "NUL"),
    ],
)
def test_a_proof_for_another_request_or_time_does_not_hold(
    method: str, uri: str, changes: dict[str, Any], because: str
) -> None:
    assert because in reason(SIGNER.proof(method, uri, NOW, **changes))


@pytest.mark.requirement("rfc9449 4.2")
@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"jwk": SIGNER.key.as_dict(private=True)},
        {"jwk": ECKey.generate_key("P-256").as_dict(private=False)},
        {"jwk": ECKey.generate_key("P-384").as_dict(private=False)},
        {"jwk": OctKey.generate_key(256).as_dict(private=True)},
        {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
        {"jwk": RSAKey.generate_key(2048).as_dict(private=False)},
    ],
)
def test_type_and_key_are_checked(header: dict[str, Any]) -> None:
    assert reason(SIGNER.proof("POST", URI, NOW, header))


@pytest.mark.requirement("rfc8725 3.1")
def test_unsigned_and_shared_secret_proofs_do_not_hold() -> None:
    from joserfc import jwt

    claims = {"htm": "POST", "htu": URI, "iat": int(NOW), "jti": "1"}
    secret = OctKey.generate_key(256)
    header = {"typ": "dpop+jwt", "alg": "HS256", "jwk": secret.as_dict(private=True)}
    assert "asymmetric" in reason(jwt.encode(header, claims, secret, ["HS256"]))
    head, body, _ = SIGNER.proof("POST", URI, NOW).split(".")
    assert reason(f"{head}.{body}.")


@pytest.mark.parametrize("jwk", [None, "text", 5, [], {}])
def test_a_key_that_is_none_does_not_hold(jwk: object) -> None:
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    assert reason(".".join([head, *SIGNER.proof("POST", URI, NOW).split(".")[1:]]))


@pytest.mark.parametrize("noise", ["", ".", "..", "a.b.c", "e30.e30.e30", "x" * 9000, "é.é.é", "a.b.c, a.b.c"])
def test_noise_does_not_hold(noise: str) -> None:
    assert "not one signed JWT" in reason(noise) or reason(noise)


@pytest.mark.requirement("rfc9449 4.3")
def test_the_token_beside_it_must_be_the_one_that_was_signed() -> None:
    asked = Expected("POST", URI, "token")
    assert dpop.verify(SIGNER.proof("POST", URI, NOW, ath=token_hash("token")), asked, NOW)
    for ath in (None, 5, "", token_hash("other")):
        assert "ath" in reason(SIGNER.proof("POST", URI, NOW, ath=ath), asked)


@pytest.mark.requirement("rfc9449 8")
def test_the_nonce_must_be_one_that_was_given_out_lately() -> None:
    nonces = Nonces(b"key")
    checker = Checker(nonces, Memory().spend)
    nonce = nonces.current(NOW)
    for later in (0, 299):
        assert checker.thumbprint(SIGNER.proof("POST", URI, NOW + later, nonce=nonce), ASKED, NOW + later)
    for odd in (None, "", "x", Nonces(b"another").current(NOW)):
        with pytest.raises(BadProof) as raised:
            checker.thumbprint(SIGNER.proof("POST", URI, NOW, nonce=odd), ASKED, NOW)
        assert raised.value.error == "use_dpop_nonce"
    assert not nonces.accepts(nonce, NOW + 600)
    assert nonces.current(NOW + 600) != nonce


@pytest.mark.requirement("rfc9449 11.1")
def test_a_proof_works_once() -> None:
    nonces = Nonces(b"key")
    checker = Checker(nonces, Memory().spend)
    proof = SIGNER.proof("POST", URI, NOW, nonce=nonces.current(NOW))
    assert checker.thumbprint(proof, ASKED, NOW) == SIGNER.thumbprint
    for later in (0, 1, 59, 89):
        with pytest.raises(BadProof, match="used before"):
            checker.thumbprint(proof, ASKED, NOW + later)


def test_the_memory_keeps_a_proof_as_long_as_it_can_be_taken_and_no_longer() -> None:
    memory = Memory()
    for step in range(0, 1200, 7):
        now = NOW + step
        assert memory.spend("key", f"jti-{step}", now + 90, now)
        for back in range(0, 119, 7):
            if step - back >= 0:
                assert not memory.spend("key", f"jti-{step - back}", now + 1, now)
    assert len(memory._new) + len(memory._old) < 60


def test_a_full_memory_takes_nothing_more_until_it_forgets() -> None:
    memory = Memory(most=3)
    assert [memory.spend("key", str(number), NOW + 90, NOW) for number in range(5)] == [True, True, True, False, False]
    assert memory.spend("key", "later", NOW + 300, NOW + 240)
