"""Two headers, one principal: which credential counts, and what an unrecognised one is told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.gateway.caller import CONFLICT, authenticate
from keystead.server.gateway.ports import DirectoryUnavailable
from keystead.server.gateway.refusals import Refusal
from keystead.server.policy import Principal, PrincipalKind
from keystead.wire.tokens import TokenKind, digest, mint

NOW = 1_000.0
KEY = mint(TokenKind.API_KEY, lambda size: b"\1" * size).encode()
OTHER = mint(TokenKind.API_KEY, lambda size: b"\2" * size).encode()
UNKNOWN = mint(TokenKind.API_KEY, lambda size: b"\3" * size).encode()
SESSION = b"eyJh.eyJi.c2ln"


class Directory:
    def __init__(self, trouble: Exception | None = None, expires_at: float | None = None) -> None:
        self.trouble = trouble
        self.keys = {digest(KEY): self._principal("key_1", expires_at), digest(OTHER): self._principal("key_2")}

    def _principal(self, name: str, expires_at: float | None = None) -> Principal:
        return Principal(PrincipalKind.API_KEY, name, "org_1", "wrk_1", "mem_1", expires_at=expires_at)

    def by_key(self, key_digest: bytes) -> Principal | None:
        if self.trouble:
            raise self.trouble
        return self.keys.get(key_digest)

    def by_bearer(self, token: bytes) -> Principal | None:
        if self.trouble:
            raise self.trouble
        return Principal(PrincipalKind.SESSION, "gra_1", "org_1", "wrk_1", "mem_1") if token == SESSION else None


def refusal(authorization: bytes | None, api_key: bytes | None, directory: Directory | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        authenticate(directory or Directory(), authorization, api_key, NOW)
    return caught.value


@pytest.mark.parametrize(
    ("authorization", "api_key", "counts", "warned"),
    [
        (None, KEY, "key_1", False),
        (b"Bearer " + KEY, None, "key_1", False),
        (b"bearer " + SESSION, None, "gra_1", False),
        (b"Bearer " + KEY, KEY, "key_1", False),
        (None, SESSION, "gra_1", False),
        (b"Bearer " + SESSION, KEY, "gra_1", True),
        (b"Bearer " + KEY, OTHER, "key_1", True),
        (b"Bearer " + UNKNOWN, KEY, "key_1", False),
        (b"Bearer " + KEY, UNKNOWN, "key_1", False),
        (b"Bearer ", KEY, "key_1", False),
        (b"Basic abc", KEY, "key_1", False),
    ],
)
def test_the_recognised_credential_counts_and_a_conflict_is_named(
    authorization: bytes | None, api_key: bytes | None, counts: str, warned: bool
) -> None:
    caller = authenticate(Directory(), authorization, api_key, NOW)
    assert caller.principal.id == counts
    assert caller.warning == (CONFLICT if warned else "")


@pytest.mark.parametrize(
    ("authorization", "api_key", "says", "final"),
    [
        (None, None, "No credential was sent", False),
        (b"Bearer ", None, "Authorization header is empty", False),
        (None, b"", "x-api-key header is empty", False),
        (b"Basic dXNlcg==", None, "not of the form", False),
        (None, UNKNOWN, "revoked, replaced or not from this server", True),
        (None, KEY[:-3], "truncated", True),
        (b"Bearer sk-ant-oat01-canary", None, "OAuth token", True),
        (None, b"sk-ant-api03-canary", "key of the model vendor", True),
        (b"Bearer eyJx.eyJy.canary", None, "expired, revoked, or not from this server", False),
        (b"Bearer ksr_canary", None, "refresh token", True),
        (None, b"canary", "not known here", True),
        (None, b"canary" * 10_000, "not known here", True),
        (b"Bearer \xff\xfecanary", None, "not known here", True),
    ],
)
def test_unrecognised_credential_is_401_that_says_what_and_how_to_go_on(
    authorization: bytes | None, api_key: bytes | None, says: str, final: bool
) -> None:
    error = refusal(authorization, api_key)
    assert error.status == 401
    assert says in error.message
    assert "canary" not in error.message
    assert (("x-should-retry", "false") in error.headers) is final


@pytest.mark.parametrize("kind", TokenKind)
def test_every_kind_of_our_own_tokens_is_called_by_its_name(kind: TokenKind) -> None:
    token = mint(kind, lambda size: b"\4" * size).encode()
    for error in (refusal(b"Bearer " + token, None), refusal(None, token)):
        assert error.status == 401
        assert token[4:].decode() not in error.message
        assert ("x-should-retry", "false") in error.headers
        if kind is TokenKind.API_KEY:
            assert error.message.startswith("The API key is revoked, replaced or not from this server.")
        else:
            assert re.match(r"The credential is (an?|the) [a-z' -]+, which is not for model requests\.", error.message)


def test_no_two_kinds_are_called_the_same() -> None:
    tokens = [mint(kind, lambda size: b"\4" * size).encode() for kind in TokenKind]
    assert len({refusal(None, token).message for token in tokens}) == len(TokenKind)


def test_vendor_subscription_token_is_refused_by_the_legal_wall() -> None:
    error = refusal(b"Bearer sk-ant-oat01-canary", None)
    assert "vendor-subscription-token" in error.message
    assert "keystead login" in error.message


@pytest.mark.requirement("G-06 503")
@pytest.mark.parametrize("trouble", [DirectoryUnavailable("database is locked"), RuntimeError("canary")])
def test_trouble_in_the_directory_is_never_a_401(trouble: Exception) -> None:
    error = refusal(None, KEY, Directory(trouble))
    assert error.status == 503
    assert dict(error.headers)["retry-after"] == "5"
    assert "canary" not in error.message


def test_expired_principal_is_refused_without_the_final_word() -> None:
    error = refusal(None, KEY, Directory(expires_at=NOW))
    assert (error.status, "expired" in error.message, error.headers) == (401, True, ())


@given(st.none() | st.binary(max_size=60), st.none() | st.binary(max_size=60))
def test_any_headers_give_a_caller_or_a_refusal(authorization: bytes | None, api_key: bytes | None) -> None:
    assert refusal(authorization, api_key).status == 401
