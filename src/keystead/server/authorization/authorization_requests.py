"""What arrives at the authorization endpoint (RFC 6749 section 4.1.1), and what goes back to the client."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from keystead.server.authorization import lifetimes, pushed_requests
from keystead.server.authorization.browser_session import Authentication
from keystead.server.authorization.checks import proof, redirects, resources, scopes
from keystead.server.authorization.clients import find
from keystead.server.authorization.models import AuthorizationCode, Client, PushedRequest
from keystead.server.authorization.parameters import Parameters, required
from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.server.authorization.sign_ins import RandomBytes
from keystead.server.authorization.surroundings import issuer
from keystead.server.organizations.models import Membership
from keystead.wire import tokens
from keystead.wire.tokens import TokenKind


@dataclass(frozen=True, slots=True)
class Destination:
    """A client and an address of it that has been checked: only to one of these may an answer be sent."""

    client: Client
    redirect_uri: str
    state: str | None

    def with_answer(self, **answer: str) -> str:
        """Return the address with the answer, the ``state`` as it came, and our name (RFC 9207)."""
        state = {} if self.state is None else {"state": self.state}
        return redirects.with_answer(self.redirect_uri, {**answer, **state, "iss": issuer()})

    def with_refusal(self, refusal: Refusal) -> str:
        """Return the address with an error (RFC 6749 section 4.1.2.1)."""
        return self.with_answer(error=refusal.error, error_description=refusal.description)


PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST_NONCE: Final = 500
_LONGEST_AGE: Final = 10**9


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that a person may be asked about.

    Attributes:
        prompt: how the client wants the person to be asked (OpenID Connect Core section 3.1.2.1).
        max_age: seconds since the person last proved who they are, at most; None for any.
        login_hint: whom the client expects, or empty.
        key_thumbprint: the key that will redeem the code (RFC 9449 section 10), or empty.
        pushed: how the request came, when the client handed it in itself.
    """

    destination: Destination
    scope: str
    code_challenge: str
    nonce: str = ""
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str = ""
    key_thumbprint: str = ""
    pushed: PushedRequest | None = None


def destination(parameters: Parameters) -> Destination:
    """Return where the answer goes.

    Raises:
        Refusal: the client or the address is not known. Show it to the person; redirecting would make this
            server a relay to wherever an attacker likes (RFC 9700 section 4.11).
    """
    client = find(required(parameters, "client_id"))
    redirect_uri = required(parameters, "redirect_uri")
    if not redirects.allowed(redirect_uri, client.redirect_uris):
        raise invalid_request("The redirect_uri is not registered for this client.")
    return Destination(client, redirect_uri, parameters.get("state"))


def read(parameters: Parameters, to: Destination, pushed: PushedRequest | None = None) -> AuthorizationRequest:
    """Return the rest of the request.

    Raises:
        Refusal: to be sent to the client.
    """
    if required(parameters, "response_type") != "code":
        raise Refusal("unsupported_response_type", "The response_type must be code.")
    if parameters.get("response_mode", "query") != "query":
        raise invalid_request("The response_mode must be query.")
    for name in ("request", "request_uri", "registration"):
        if name in parameters:
            raise Refusal(f"{name}_not_supported", f"The parameter {name} is not supported.")
    if "authorization_code" not in to.client.grant_types:
        raise Refusal("unauthorized_client", "This client may not sign in with a browser.")
    resources.check(parameters)
    return AuthorizationRequest(
        to,
        scopes.asked(parameters.get("scope"), to.client.scope),
        proof.challenge(parameters),
        _nonce(parameters),
        _prompt(parameters),
        _max_age(parameters),
        parameters.get("login_hint", ""),
        _key(parameters),
        pushed,
    )


def _nonce(parameters: Parameters) -> str:
    nonce = parameters.get("nonce", "")
    if len(nonce) > _LONGEST_NONCE:
        raise invalid_request(f"The nonce is longer than {_LONGEST_NONCE} characters.")
    return nonce


def _prompt(parameters: Parameters) -> frozenset[str]:
    prompt = frozenset(parameters.get("prompt", "").split())
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise invalid_request("The prompt must be none, or some of login, consent and select_account.")
    return prompt


def _max_age(parameters: Parameters) -> int | None:
    text = parameters.get("max_age")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise invalid_request("The max_age must be a number of seconds.")
    return min(int(text), _LONGEST_AGE)


def _key(parameters: Parameters) -> str:
    thumbprint = parameters.get("dpop_jkt", "")
    if thumbprint and not _THUMBPRINT.fullmatch(thumbprint):
        raise invalid_request("The dpop_jkt must be 43 characters of base64url.")
    return thumbprint


@dataclass(frozen=True, slots=True)
class Approver:
    """Who agreed, and how they had signed in to this browser."""

    membership: Membership
    authentication: Authentication


def approve(
    request: AuthorizationRequest, by: Approver, now: datetime, random_bytes: RandomBytes = secrets.token_bytes
) -> str:
    """Store a code for what the person agreed to; returns the address that carries it to the client.

    Raises:
        Refusal: the request was pushed, and answered before.
    """
    member = by.membership
    code = tokens.mint(TokenKind.AUTHORIZATION_CODE, random_bytes)
    with transaction.atomic():
        pushed_requests.use_up(request.pushed, now)
        AuthorizationCode.objects.create(
            digest=tokens.digest(code),
            organization=member.organization,
            membership=member,
            client=request.destination.client,
            redirect_uri=request.destination.redirect_uri,
            code_challenge=request.code_challenge,
            scope=request.scope,
            nonce=request.nonce,
            authenticated_at=by.authentication.at,
            authentication_methods=by.authentication.methods,
            key_thumbprint=request.key_thumbprint,
            created_at=now,
            expires_at=now + lifetimes.AUTHORIZATION_CODE,
        )
    return request.destination.with_answer(code=code)


DENIED = Refusal("access_denied", "The request was denied.")
