"""Ask the server whose token it is; the answer that ``login`` trusts and ``status`` shows."""

from keystead.errors import ConfigurationError, CredentialRejected
from keystead.flows import Flow, answers
from keystead.secret import Secret
from keystead.wire import oauth
from keystead.wire.http import Request
from keystead.wire.oauth import ServerMetadata, UserInfo


def userinfo(metadata: ServerMetadata, access_token: Secret) -> Flow[UserInfo]:
    """Return who the token belongs to.

    Raises:
        CredentialRejected: the server does not accept the token it has just issued.
        ConfigurationError: the server has no such endpoint.
    """
    if metadata.userinfo_endpoint is None:
        raise ConfigurationError(
            f"{metadata.issuer} does not say whose sign-in it is.", hint="Ask whoever runs the server.", move="operator"
        )
    headers: dict[str, str | Secret] = {
        "accept": "application/json",
        "authorization": Secret(f"Bearer {access_token.reveal()}"),
    }
    response = answers.arrived((yield Request("GET", metadata.userinfo_endpoint, headers)))
    if response.status == 401:
        raise CredentialRejected(f"{metadata.issuer} refused the sign-in it issued.", hint="Run keystead login again.")
    return answers.read(response, oauth.parse_userinfo, "the question whose sign-in it is")
