"""An installation with something to ask for by every grant, and a request of each that is granted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_bytes
from typing import Any
from urllib.parse import urlencode

from issuers import TokenIssuer

Form = dict[str, str]
PLATFORM = TokenIssuer("https://builds.example.com")
URN = "urn:ietf:params:oauth"
VERIFIER = "v" * 43
REDIRECT = "http://127.0.0.1:1/callback"


@dataclass
class Installation:
    """An organization with a client, a service account and a trusted platform, as a running server knows it."""

    member: Any
    account: Any
    proof: dict[str, str]
    exchanger: dict[str, str]

    def ask(self, path: str = "token", **form: str) -> dict[str, Any]:
        """Return what is granted."""
        status, answer = self.reply(path, **form)
        assert status == 200, answer
        return answer

    def reply(self, path: str = "token", **form: str) -> tuple[int, dict[str, Any]]:
        """Return whatever is answered."""
        from keystead.server.authorization.views import endpoints
        from keystead.server.authorization.views.posted import Asked

        body = urlencode(form).encode()
        asked = Asked(f"/oauth/{path}", "application/x-www-form-urlencoded", None, None, "tests", "127.0.0.1", body)
        reply = getattr(endpoints, path).reply(asked)
        return reply.status, json.loads(reply.body)


def _registered(member: Any, **more: Any) -> dict[str, str]:
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.authorization.surroundings import now

    wanted = registry.Registration(name="Program", auth_method=AuthMethod.CLIENT_SECRET_POST, **more)
    client, secret = registry.register(member, wanted, now(), token_bytes)
    assert secret is not None
    return {"client_id": client.client_id, "client_secret": secret.reveal()}


@contextmanager
def installed(administrator: Any) -> Iterator[Installation]:
    """Have one running, which remembers and hears of changes."""
    from keystead.server import remembered
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import issuer, now
    from keystead.server.changes import CHANGES
    from keystead.server.keys import federation, service_accounts
    from keystead.server.keys.models import KeySource
    from keystead.server.policy.federation import parse_conditions

    keys.signing_key(now())
    account = service_accounts.create(administrator, "deploy", now=now())
    wanted = federation.Issuer("builds", PLATFORM.url, issuer(), KeySource.INLINE, jwks=PLATFORM.jwks)
    trusted = federation.create_issuer(administrator, wanted, now())
    rule = federation.Rule("deploys", trusted, account, parse_conditions("repository = acme/app"), "models:use")
    federation.create_rule(administrator, rule, now())
    proof = _registered(administrator, grant_types=["client_credentials"], scope="models:use", service_account=account)
    exchanger = _registered(
        administrator,
        grant_types=[f"{URN}:grant-type:token-exchange"],
        scope="openid models:use",
        first_party=True,
        may_act_for=["keystead-cli"],
    )
    with remembered.remembering(CHANGES):
        yield Installation(administrator, account, proof, exchanger)


def signed_in(one: Installation) -> tuple[str, str]:
    """Return an access token and a refresh token of a new sign-in."""
    from keystead.server.authorization import access_tokens, clients, sign_ins
    from keystead.server.authorization.surroundings import now
    from keystead.server.identifiers import new_id

    approval = sign_ins.Approval(clients.find("keystead-cli"), one.member, "openid models:use offline_access")
    redeemed = sign_ins.begin(approval, "", now())
    assert redeemed.refresh_token is not None
    return access_tokens.sign(redeemed.grant, redeemed.scope, new_id(), now())[0], redeemed.refresh_token


def refresh(one: Installation) -> Form:
    """Return the request of a device that is signed in."""
    return {"grant_type": "refresh_token", "refresh_token": signed_in(one)[1], "client_id": "keystead-cli"}


def client_credentials(one: Installation) -> Form:
    """Return the request of a client in its own name."""
    return {"grant_type": "client_credentials", **one.proof}


def jwt_bearer(one: Installation) -> Form:
    """Return the request of a workload."""
    from keystead.server.authorization.surroundings import now

    token = PLATFORM.token(now=now().timestamp(), repository="acme/app", jti=token_bytes(8).hex())
    named = {"assertion": token, "organization_id": str(one.account.organization_id)}
    return {"grant_type": f"{URN}:grant-type:jwt-bearer", **named}


def token_exchange(one: Installation) -> Form:
    """Return the request of a program that acts for somebody."""
    subject = {"subject_token": signed_in(one)[0], "subject_token_type": f"{URN}:token-type:access_token"}
    return {"grant_type": f"{URN}:grant-type:token-exchange", **subject, **one.exchanger}


def device_code(one: Installation) -> Form:
    """Return the poll of a device that has been approved."""
    from keystead.server.authorization import device_codes
    from keystead.server.authorization.surroundings import now

    started = one.ask("device_authorization", client_id="keystead-cli")
    waiting = device_codes.waiting(started["user_code"], now())
    assert waiting is not None
    assert device_codes.decide(waiting, device_codes.Answer(True, one.member), now())
    return {
        "grant_type": f"{URN}:grant-type:device_code",
        "device_code": started["device_code"],
        "client_id": "keystead-cli",
    }


def authorization_code(one: Installation) -> Form:
    """Return the request of a program to which a browser came back."""
    from keystead.secret import Secret
    from keystead.server.authorization import clients
    from keystead.server.authorization.models import AuthorizationCode
    from keystead.server.authorization.surroundings import now
    from keystead.wire import pkce, tokens

    code, client = tokens.mint(tokens.TokenKind.AUTHORIZATION_CODE, token_bytes), clients.find("keystead-cli")
    AuthorizationCode.objects.create(
        digest=tokens.digest(code),
        organization=one.member.organization,
        membership=one.member,
        client=client,
        redirect_uri=REDIRECT,
        code_challenge=pkce.challenge(Secret(VERIFIER)),
        scope="openid offline_access",
        created_at=now(),
        expires_at=now() + timedelta(minutes=1),
    )
    form = {"code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER, "client_id": "keystead-cli"}
    return {"grant_type": "authorization_code", **form}
