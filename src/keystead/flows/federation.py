"""Exchange the machine's own identity token for a short-lived token (RFC 7523 section 2.1), as the vendor's SDKs do.

One difference from the RFC's form: the vendor's endpoint takes and answers JSON.
"""

from typing import Final

from keystead.credentials import OAuthTokens
from keystead.credentials.federation import Federation
from keystead.errors import ConfigurationError, CredentialRejected, KeysteadError, PolicyDenied
from keystead.flows import Flow, answers
from keystead.secret import Secret
from keystead.wire import messages, oauth
from keystead.wire.http import Request, Response

PATH: Final = "/v1/oauth/token"
_WHAT: Final = "the exchange of the identity token"
_HEADERS: Final = {
    "accept": "application/json",
    "content-type": "application/json",
    "anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01",
}
_FIX: Final = "Check that federation rule {rule} accepts this identity: its issuer, audience and subject"
_REFUSALS: Final[dict[str, type[KeysteadError]]] = {
    "authentication_error": CredentialRejected,
    "permission_error": CredentialRejected,
    "invalid_request_error": ConfigurationError,
    "not_found_error": ConfigurationError,
}
"""The vendor's own error types, in the shape of its API; OAuth's are in :mod:`keystead.flows.answers`."""


def endpoint(api_base: str) -> str:
    """Return the token endpoint of the API at ``api_base``: a token is good only where it was issued."""
    return f"{api_base}{PATH}"


def exchange(federation: Federation, api_base: str, identity: Secret, now: float) -> Flow[OAuthTokens]:
    """Return the tokens of the service account; there is no refresh token, the next exchange takes its place.

    Args:
        federation: the rule, and for whom.
        api_base: the API that the token is for, which is also who issues it.
        identity: the identity token.
        now: Unix seconds; the lifetime counts from here, which is before the answer and so on the safe side.

    Raises:
        CredentialRejected: the rule does not accept this identity.
        ConfigurationError: the request names something that is not there.
        TemporaryFailure: anything else went wrong.
    """
    body = oauth.jwt_bearer(
        identity,
        {
            "federation_rule_id": federation.rule_id,
            "organization_id": federation.organization_id,
            "service_account_id": federation.service_account_id,
            "workspace_id": federation.workspace_id,
        },
    )
    response = answers.arrived((yield Request("POST", endpoint(api_base), _HEADERS, body=body)))
    if response.status != 200:
        raise _refusal(response, federation)
    return answers.tokens(response, answers.read(response, oauth.parse_federated_token, _WHAT), now)


def _refusal(response: Response, federation: Federation) -> KeysteadError:
    """Return the error; the server's own words are left out, for an endpoint may echo the identity token."""
    said = messages.parse_error(response.body) if response.status in {400, 401, 403, 404} else None
    kind = _REFUSALS.get(said.type) if said is not None else None
    if kind is None or said is None:
        error = answers.failure(response, _WHAT)
    else:
        error = kind(f"{response.url}: {_WHAT} was refused ({said.type}).")
    if isinstance(error, CredentialRejected | ConfigurationError | PolicyDenied):
        choice = "" if federation.workspace_id else "; if it covers several workspaces, set ANTHROPIC_WORKSPACE_ID"
        error.hint = f"{_FIX.format(rule=federation.rule_id)}{choice}."
    return error
