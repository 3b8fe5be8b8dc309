"""What the clouds are shown: signatures by AWS's keys, and tokens of Google and Entra that are renewed in time.

The clouds' own SDKs do it, in this process: each renewal in the thread that keeps upstreams up to date, each signature
on the event loop with keys that are at hand (docs/decisions/024-cloud-credentials-in-the-server.md).
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, cast

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.upstream_shape import Kind, UpstreamCredential

_AWS: Final = ("aws", "bedrock")
_GOOGLE: Final = ("google", "vertex")
_ENTRA: Final = ("entra", "foundry")

MAKERS: Final[Mapping[tuple[Kind, str], tuple[str, str]]] = {
    (Kind.AWS, "access_keys"): _AWS,
    (Kind.AWS, "chain"): _AWS,
    (Kind.BEDROCK, "access_keys"): _AWS,
    (Kind.BEDROCK, "chain"): _AWS,
    (Kind.VERTEX, "service_account"): _GOOGLE,
    (Kind.VERTEX, "chain"): _GOOGLE,
    (Kind.FOUNDRY, "entra"): _ENTRA,
    (Kind.FOUNDRY, "chain"): _ENTRA,
}
"""Which module here makes the credential of a kind and method, and which extra of this distribution brings its SDK."""


def of(kind: Kind, method: str, fields: Mapping[str, Secret], region: str) -> UpstreamCredential:
    """Return what an upstream of a cloud is shown. Nothing is asked yet where something has to be: ``refresh()`` does.

    Args:
        kind: with ``method``, a key of :data:`MAKERS`.
        method: as in :mod:`keystead.server.upstreams.methods`, whose fields these are.
        fields: of the credential.
        region: of the upstream.

    Raises:
        ConfigurationError: the cloud's SDK is not installed, or a field cannot be used.
    """
    name, extra = MAKERS[kind, method]
    try:
        module = import_module(f"{__package__}.{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"Credentials of {kind.value} cannot be used on this server: {error.name} is not installed.",
            hint=f"Install it with: pip install 'keystead[server,{extra}]', and restart the server.",
            move="operator",
        ) from error
    make = cast("Callable[[Kind, str, Mapping[str, Secret], str], UpstreamCredential]", module.make)
    return make(kind, method, fields, region)
