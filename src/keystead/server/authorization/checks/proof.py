"""Proof key for code exchange (RFC 7636): S256 only and always, since ``plain`` proves nothing."""

import hmac
import re
from typing import Final

from keystead.secret import Secret
from keystead.server.authorization.parameters import Parameters, required
from keystead.server.authorization.refusals import invalid_grant, invalid_request
from keystead.wire import pkce

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def challenge(parameters: Parameters) -> str:
    """Return the challenge of an authorization request.

    Raises:
        Refusal: ``invalid_request``: it is missing, malformed, or its method is not S256.
    """
    if parameters.get("code_challenge_method") != "S256":
        raise invalid_request("The code_challenge_method must be S256.")
    value = required(parameters, "code_challenge")
    if not _CHALLENGE.fullmatch(value):
        raise invalid_request("The code_challenge must be 43 characters of base64url.")
    return value


def verify(parameters: Parameters, expected: str) -> None:
    """Compare the verifier of a token request with the challenge that was stored.

    Raises:
        Refusal: ``invalid_request`` when it is missing or malformed, ``invalid_grant`` when it does not match.
    """
    verifier = required(parameters, "code_verifier")
    if not _VERIFIER.fullmatch(verifier):
        raise invalid_request("The code_verifier must be 43 to 128 unreserved characters.")
    if not hmac.compare_digest(pkce.challenge(Secret(verifier)), expected):
        raise invalid_grant("The code_verifier does not match.")
