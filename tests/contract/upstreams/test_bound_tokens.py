"""Access tokens that are bound to a key (DPoP), on the relay and on the pages."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from proofs import Signer, token_hash

from keystead.clock import SYSTEM_CLOCK
from keystead.server.dpop import Nonces

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

SIGNER = Signer()


@pytest.fixture
def bound(serve: "Callable[..., Running]") -> "Running":
    """A gateway that knows its bearer token as bound to the signer's key."""
    running = serve()
    name = hashlib.sha256(running.bearer.encode()).digest()
    owner = running.directory.bearers[name]
    running.directory.bearers[name] = replace(owner, key_thumbprint=SIGNER.thumbprint)
    return running


def proof(running: "Running", path: str = "/v1/messages", method: str = "POST", **changes: str | None) -> str:
    now = SYSTEM_CLOCK.now()
    claims: dict[str, Any] = {
        "ath": token_hash(running.bearer),
        "nonce": Nonces(b"only for tests").current(now),
        **changes,
    }
    return SIGNER.proof(method, running.base_url + path, now, **claims)


def lines(running: "Running", signed: str | None, scheme: str = "DPoP") -> list[str]:
    header = [] if signed is None else [f"dpop: {signed}"]
    return [f"authorization: {scheme} {running.bearer}", *header]


@pytest.mark.requirement("rfc9449 7.1")
def test_a_signed_request_is_relayed_without_its_proof(bound: "Running") -> None:
    answer = bound.ask(None, *lines(bound, proof(bound)), key=None, target="/v1/messages?beta=true")
    assert answer.status == 200, answer.raw
    (recorded,) = bound.api.requests
    assert not {"dpop", "authorization"} & set(recorded.headers)


@pytest.mark.requirement("rfc9449 7.1", "rfc9449 11.1")
def test_a_proof_works_once_even_on_one_connection(bound: "Running") -> None:
    signed = proof(bound)
    assert bound.ask(None, *lines(bound, signed), key=None).status == 200
    again = bound.ask(None, *lines(bound, signed), key=None)
    assert (again.status, again.error["type"]) == (401, "authentication_error")
    assert "used before" in again.error["message"]
    assert len(bound.api.requests) == 1


@pytest.mark.requirement("rfc9449 7.2", "rfc9449 8")
@pytest.mark.parametrize("odd", ["bearer", "no proof", "no nonce", "other path", "other token", "x-api-key"])
def test_a_stolen_token_is_useless_without_the_key(bound: "Running", odd: str) -> None:
    sent = {
        "bearer": lines(bound, proof(bound), "Bearer"),
        "no proof": lines(bound, None),
        "no nonce": lines(bound, proof(bound, nonce=None)),
        "other path": lines(bound, proof(bound, "/v1/models")),
        "other token": lines(bound, proof(bound, ath=token_hash("other"))),
        "x-api-key": [f"x-api-key: {bound.bearer}"],
    }[odd]
    answer = bound.ask(None, *sent, key=None)
    assert (answer.status, answer.error["type"]) == (401, "authentication_error")
    assert bound.api.requests == []
    if odd == "no nonce":
        assert 'error="use_dpop_nonce"' in answer.raw.decode()
        assert answer.headers["dpop-nonce"]


@pytest.mark.requirement("rfc9449 7.2")
def test_another_credential_may_not_be_sent_as_a_bound_one(bound: "Running") -> None:
    assert bound.ask(None, f"authorization: DPoP {bound.key}", key=None).status == 401
    assert bound.ask(None, "authorization: DPoP noise", key=bound.key).status == 200, "the key counts"


@pytest.mark.requirement("rfc9728 5.1")
def test_every_401_names_where_to_sign_in(bound: "Running") -> None:
    about = f'resource_metadata="{bound.base_url}/.well-known/oauth-protected-resource"'
    assert about in bound.ask(None, key=None).headers["www-authenticate"]


def test_the_pages_hold_to_it_too(bound: "Running") -> None:
    def models(*more: str) -> int:
        head = "\r\n".join(["GET /v1/models HTTP/1.1", "host: gateway", "connection: close", *more, "", ""])
        return bound.send(head.encode()).status

    assert models(*lines(bound, proof(bound, "/v1/models", "GET"))) == 200
    assert models(*lines(bound, proof(bound, "/v1/models", "POST"))) == 401
    assert models(*lines(bound, None, "Bearer")) == 401
