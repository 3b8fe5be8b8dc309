"""Find a server's endpoints (RFC 8414), and believe only what its own origin says."""

from keystead.errors import ConfigurationError, ServerFailure
from keystead.flows import Flow, answers
from keystead.wire import oauth, origin, urls
from keystead.wire.http import Request
from keystead.wire.oauth import ServerMetadata


def discover(base_url: str) -> Flow[ServerMetadata]:
    """Return the metadata of the server at ``base_url``.

    Raises:
        ConfigurationError: ``base_url`` is not an address a secret may be sent to.
        ServerFailure: the answer is not the document, names another issuer (RFC 8414 section 3.3), or an
            endpoint elsewhere, which the gateway protocol forbids.
    """
    try:
        base = urls.base(base_url)
    except ValueError as error:
        raise ConfigurationError(
            f"The server address cannot be used: {error}.",
            hint="Give it as https://host or http://127.0.0.1:port.",
        ) from error
    response = yield Request("GET", base + oauth.METADATA_PATH, {"accept": "application/json"})
    if answers.arrived(response).status == 404:
        raise ServerFailure(
            f"{base} does not say where to sign in: it has no {oauth.METADATA_PATH} (HTTP 404).",
            hint="Check the address. It is a Keystead server's own, such as https://keys.example.com, and no API's.",
        )
    metadata = answers.read(response, oauth.parse_metadata, "the question who it is")
    if metadata.issuer != base:
        raise ServerFailure(
            f"{base} says that it is {metadata.issuer}.",
            hint=f"Use --server {metadata.issuer} if that is the one you mean.",
        )
    for name, address in metadata.endpoints.items():
        if not _same_origin(address, base):
            raise ServerFailure(f"{base} names a {name} on another origin.", hint="Ask whoever runs the server.")
    return metadata


def _same_origin(address: str, base: str) -> bool:
    try:
        return origin.parse(address) == origin.parse(base)
    except ValueError:
        return False
