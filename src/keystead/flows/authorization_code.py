"""Sign in with a browser: authorization code with PKCE S256 on a loopback redirect (RFC 6749, 7636, 8252, 9207)."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from keystead.credentials import OAuthTokens
from keystead.errors import Cancelled, ConfigurationError, ServerFailure, UsageError
from keystead.flows import Flow, answers
from keystead.secret import Secret
from keystead.wire import oauth, pkce, tokens
from keystead.wire.http import Request
from keystead.wire.oauth import ServerMetadata


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to sign in: what is needed to ask, and to recognise the answer.

    Attributes:
        state: random; comes back with the answer to this question and to no other.
        verifier: the PKCE secret; without it a stolen code is useless.
    """

    metadata: ServerMetadata
    client_id: str
    redirect_uri: str
    scope: str
    state: str = field(repr=False)
    verifier: Secret

    @property
    def url(self) -> str:
        """The address to open in a browser.

        Raises:
            ConfigurationError: the server has no such endpoint, or cannot do S256.
        """
        endpoint = self.metadata.authorization_endpoint
        if endpoint is None or "S256" not in self.metadata.code_challenge_methods_supported:
            raise ConfigurationError(
                f"{self.metadata.issuer} offers no sign-in in the browser.", hint="Use keystead login --device."
            )
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self.state,
            "code_challenge": pkce.challenge(self.verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def begin(
    metadata: ServerMetadata, client_id: str, redirect_uri: str, scope: str, random_bytes: Callable[[int], bytes]
) -> Attempt:
    """Return a new attempt with its own state and verifier; ``random_bytes`` is ``secrets.token_bytes``."""
    verifier = pkce.verifier(random_bytes)
    state = pkce.verifier(random_bytes).reveal()
    return Attempt(metadata, client_id, redirect_uri, scope, state, verifier)


def code_from_callback(attempt: Attempt, query: str) -> Secret:
    """Return the code in the query of the redirect.

    Raises:
        UsageError: it answers another question: the state is not this attempt's.
        ServerFailure: it names another issuer (RFC 9207), or has no code.
        Cancelled: the person said no.
    """
    answer = {name: values[-1] for name, values in parse_qs(query).items()}
    if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
        raise UsageError("The answer belongs to another sign-in.", hint="Use the address printed last.")
    names_issuer = attempt.metadata.iss_parameter_supported or "iss" in answer
    if names_issuer and answer.get("iss") != attempt.metadata.issuer:
        raise ServerFailure("The answer came from another server than the one asked.", hint="Sign in again.")
    if answer.get("error") == "access_denied":
        raise Cancelled("The sign-in was denied in the browser.", hint="Run keystead login to try again.")
    if "code" not in answer:
        raise ServerFailure(f"{attempt.metadata.issuer} sent no code back.", hint="Run keystead login to try again.")
    return Secret(answer["code"])


def code_from_paste(attempt: Attempt, text: str) -> Secret:
    """Return the code in what a person pasted: the whole address of the last page, or the code alone.

    A bare code comes without state; PKCE binds it to this attempt all the same (RFC 9700 section 2.1.1).

    Raises:
        UsageError: it is neither; the message says what is wrong with it.
    """
    pasted = text.strip()
    if "code=" in pasted or "error=" in pasted:
        return code_from_callback(attempt, urlsplit(pasted).query or pasted.lstrip("?"))
    found = tokens.parse(pasted)
    if found is tokens.TokenKind.AUTHORIZATION_CODE:
        return Secret(pasted)
    reason = found.reason if isinstance(found, tokens.TokenFault) else "it is a token of another kind"
    raise UsageError(f"That is not a sign-in code: {reason}.", hint="Copy the whole code, or the whole address.")


def redeem(attempt: Attempt, code: Secret, now: Callable[[], float]) -> Flow[OAuthTokens]:
    """Exchange the code for tokens.

    Raises:
        CredentialRejected: the code is used, too old, or of another attempt.
    """
    form: dict[str, str | Secret] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": attempt.redirect_uri,
        "client_id": attempt.client_id,
        "code_verifier": attempt.verifier,
    }
    request = Request("POST", attempt.metadata.token_endpoint, {"accept": "application/json"}, form)
    response = answers.arrived((yield request))
    return answers.tokens(response, answers.read(response, oauth.parse_token, "the code"), now())
