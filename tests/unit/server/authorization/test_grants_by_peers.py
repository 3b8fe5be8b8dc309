"""The grants that need no person, driven by clients that others wrote and that are certified as relying parties."""

import time
from secrets import token_bytes
from typing import Any

import control_plane
import driven
import pytest
from django.test import Client, override_settings
from issuers import TokenIssuer
from joserfc.jwk import ECKey
from local_server import Answer, local_server

import peers
from keystead.testing.clock import FakeClock

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
KEY = ECKey.generate_key("P-256")


def register(administrator: Any, method: str, **more: Any) -> dict[str, Any]:
    """Register a client and return what it knows."""
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.authorization.surroundings import now

    jwks = {"keys": [{**KEY.as_dict(private=False), "kid": "one"}]} if method == "private_key_jwt" else None
    wanted = registry.Registration(method, AuthMethod(method), jwks=jwks, **more)
    client, secret = registry.register(administrator, wanted, now(), token_bytes)
    known = {"id": client.client_id, "method": method}
    if secret is None:
        return {**known, "jwk": {**KEY.as_dict(private=True), "kid": "one"}}
    return {**known, "secret": secret.reveal()}


def trust(administrator: Any, account: Any, platform: TokenIssuer, audience: str) -> None:
    """Let the platform's identities act as the account."""
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import federation
    from keystead.server.keys.models import KeySource
    from keystead.server.policy.federation import parse_conditions

    wanted = federation.Issuer("builds", platform.url, audience, KeySource.INLINE, jwks=platform.jwks)
    issuer = federation.create_issuer(administrator, wanted, now())
    rule = federation.Rule("deploys", issuer, account, parse_conditions("repository = acme/app"), "models:use")
    federation.create_rule(administrator, rule, now())


def sign_in(administrator: Any) -> str:
    """Return the access token of somebody who is signed in."""
    from keystead.server.authorization import access_tokens, clients, sign_ins
    from keystead.server.authorization.surroundings import now
    from keystead.server.identifiers import new_id

    approval = sign_ins.Approval(clients.find("keystead-cli"), administrator, "openid models:use")
    redeemed = sign_ins.begin(approval, "laptop", now())
    return access_tokens.sign(redeemed.grant, redeemed.scope, new_id(), now())[0]


@pytest.mark.requirement("rfc6749 2.3.1", "rfc6749 4.4.2", "rfc7523 2.2", "rfc8693 2.1", "rfc7662 2.2", "rfc7009 2.1")
def test_certified_clients_go_through_every_grant(administrator: Any) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import service_accounts

    account = service_accounts.create(administrator, "deploy", now=now())
    own: dict[str, Any] = {"grant_types": ["client_credentials"], "scope": "models:use", "service_account": account}
    acting: dict[str, Any] = {"grant_types": [EXCHANGE], "scope": "openid", "may_act_for": ["keystead-cli"]}
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    platform = TokenIssuer("https://builds.example.com")
    recorder = driven.Recorder()
    with control_plane.serving(recorder.around) as address:
        trust(administrator, account, platform, address)
        exchanger = register(administrator, "client_secret_basic", **acting)
        seen = peers.ask(
            "grants",
            issuer=address,
            clients=[register(administrator, method, **own) for method in methods],
            assertions=[platform.token(now=time.time(), aud=address, jti=str(number)) for number in range(4)],
            organization=f"org_{administrator.organization_id.hex}",
            exchanger=exchanger,
            subject=sign_in(administrator),
        )
    whole = {"scope": "models:use", "lives": True, "sub": account.wire_id, "ended": True}
    expected = {
        **dict.fromkeys(methods, whole),
        "workload": {"scope": "models:use", "type": "bearer"},
        "signed workload": {"scope": "models:use", "type": "dpop"},
        "signed": "dpop",
        "bound": {"type": "dpop", "meaning": "DPoP"},
        "exchanged": {
            "scope": "openid",
            "issued": "urn:ietf:params:oauth:token-type:access_token",
            "act": {"sub": exchanger["id"]},
        },
    }
    for library in ("oauth4webapi", "openid-client"):
        wrong = seen[library].pop("wrong")
        assert seen[library] == expected
        assert wrong in {"invalid_client", "basic"}, "401 with its challenge"
    driven.check(recorder, "grants")


class Waiting:
    """The time between the polls of a device: it passes at once, and one time too little of it, so that it is hasty.

    Args:
        clock: the server's.
        recorder: knows what the device was told last.
    """

    def __init__(self, clock: FakeClock, recorder: driven.Recorder) -> None:
        self.clock, self.recorder = clock, recorder
        self.said: list[str] = []

    def five_seconds(self, _: object) -> Answer:
        """Let five seconds pass, or one; say whether the person is to approve now."""
        polls = [one.error for one in self.recorder.asked if one.grant == DEVICE and one.error != "use_dpop_nonce"]
        hasty = polls == ["authorization_pending"]
        approve = polls == ["authorization_pending", "slow_down"] and "approve" not in self.said
        self.said += ["approve"] if approve else []
        self.clock.advance(1 if hasty else 5)
        return 200, "application/json", {"approve": approve}


@pytest.mark.requirement("rfc8628 3.2", "rfc8628 3.5 pending", "rfc8628 3.5 slow_down", "rfc9449 7 exchange")
@pytest.mark.parametrize("library", driven.LIBRARIES)
def test_certified_clients_sign_a_device_in_and_hand_its_bound_token_on(administrator: Any, library: str) -> None:
    acting: dict[str, Any] = {"grant_types": [EXCHANGE], "scope": "openid", "may_act_for": ["keystead-cli"]}
    browser = Client()
    browser.force_login(administrator.person)
    cookie = f"sessionid={browser.cookies['sessionid'].value}"
    clock, recorder = FakeClock(time.time()), driven.Recorder()
    waiting = Waiting(clock, recorder)
    with (
        override_settings(KEYSTEAD_CLOCK=clock),
        local_server({"GET /": waiting.five_seconds}) as time_server,
        control_plane.serving(recorder.around) as address,
    ):
        told = {"library": library, "issuer": address, "client_id": "keystead-cli", "clock": f"{time_server.url}/"}
        exchanger = register(administrator, "client_secret_basic", **acting)
        seen = peers.ask("device", **told, cookie=cookie, exchanger=exchanger)
    assert seen == {
        "type": "dpop",
        "renewed": "dpop",
        "scope": "openid offline_access models:use",
        "unsigned": "invalid_dpop_proof",
        "exchanged": {"type": "dpop", "scope": "openid", "act": {"sub": exchanger["id"]}, "meaning": "DPoP"},
        "after": "ended",
    }
    polls = [one.error for one in recorder.asked if one.grant == DEVICE and one.error != "use_dpop_nonce"]
    assert polls == ["authorization_pending", "slow_down", ""]
    assert (library, DEVICE) in recorder.asked_for_nonce()
    driven.check(recorder, "device", [library])


def test_every_grant_and_endpoint_has_a_peer_that_drives_it() -> None:
    from keystead.server.authorization.grants import TABLE
    from keystead.server.authorization.metadata import document

    assert driven.GRANTS.keys() == TABLE.keys()
    endpoints = {name for name in document("", registration=True) if name.endswith("_endpoint")}
    assert driven.ENDPOINTS.keys() == endpoints - {"authorization_endpoint", "token_endpoint"}
    for peer in {*driven.GRANTS.values(), *driven.ENDPOINTS.values()}:
        assert (peers.PEERS / f"{peer}.mjs").is_file()
