"""What arrives at the authorization endpoint (RFC 6749 section 4.1.1), and what goes back to the client."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from keystead.server.authorization import lifetimes
from keystead.server.authorization.checks import proof, redirects, scopes
from keystead.server.authorization.clients import find
from keystead.server.authorization.models import AuthorizationCode, Client
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


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that a person may be asked about."""

    destination: Destination
    scope: str
    code_challenge: str


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


def read(parameters: Parameters, to: Destination) -> AuthorizationRequest:
    """Return the rest of the request.

    Raises:
        Refusal: to be sent to the client.
    """
    if required(parameters, "response_type") != "code":
        raise Refusal("unsupported_response_type", "The response_type must be code.")
    if parameters.get("response_mode", "query") != "query":
        raise invalid_request("The response_mode must be query.")
    if "request" in parameters or "request_uri" in parameters:
        raise Refusal("request_not_supported", "Request objects are not supported.")
    if "authorization_code" not in to.client.grant_types:
        raise Refusal("unauthorized_client", "This client may not sign in with a browser.")
    scope = scopes.asked(parameters.get("scope"), to.client.scope)
    return AuthorizationRequest(to, scope, proof.challenge(parameters))


def approve(
    request: AuthorizationRequest, member: Membership, now: datetime, random_bytes: RandomBytes = secrets.token_bytes
) -> str:
    """Store a code for what the person agreed to; returns the address that carries it to the client."""
    code = tokens.mint(TokenKind.AUTHORIZATION_CODE, random_bytes)
    AuthorizationCode.objects.create(
        digest=tokens.digest(code),
        organization=member.organization,
        membership=member,
        client=request.destination.client,
        redirect_uri=request.destination.redirect_uri,
        code_challenge=request.code_challenge,
        scope=request.scope,
        created_at=now,
        expires_at=now + lifetimes.AUTHORIZATION_CODE,
    )
    return request.destination.with_answer(code=code)


DENIED = Refusal("access_denied", "The request was denied.")
