"""What a token is for (RFC 8707): this server's own origin, which is the gateway, and nothing else."""

from keystead.server.authorization.parameters import Parameters
from keystead.server.authorization.refusals import Refusal
from keystead.server.authorization.surroundings import issuer


def check(parameters: Parameters) -> None:
    """Check the ``resource`` of a request, if it names one.

    Raises:
        Refusal: ``invalid_target``.
    """
    resource = parameters.get("resource")
    if resource is not None and resource.removesuffix("/") != issuer():
        raise Refusal("invalid_target", "Tokens of this server are for itself only: leave resource out, or name it.")
