"""From what is kept of a credential to what an upstream is shown."""

from collections.abc import Mapping
from typing import Final, cast

from keystead.environment import Environment
from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.fixed_credential import NO_CREDENTIAL, FixedCredential, Header
from keystead.server.settings import ServerSettings
from keystead.server.upstream_shape import Kind, UpstreamCredential
from keystead.server.upstreams import methods, operations, references
from keystead.server.upstreams.models import Upstream
from keystead.sources.references import is_reference

Values = Mapping[str, Secret]
"""The fields of a credential, each as what it leads to."""

USABLE: Final = frozenset(methods.HEADERS) | {(Kind.MESSAGES, "none"), (Kind.OPENAI, "none")}
"""Kinds and methods that this version can show an upstream."""


def read(upstream: Upstream, server: ServerSettings) -> Values:
    """Return the fields of a credential, with every reference read anew.

    Where :func:`is_slow` it may take up to a minute for each.

    Raises:
        KeysteadError: there is none, it cannot be opened or read, or the operator does not allow a reference.
    """
    if not upstream.method:
        raise ConfigurationError("No credential is set.", hint="Set it on its page.", move="administrator")
    kind, fields = Kind(upstream.kind), operations.fields_of(upstream)
    used = references.used_by(kind, upstream.method, fields)
    references.require(used, kind, upstream.base_url, upstream.organization.name, server)
    variables = Environment.capture().variables
    secret = {field.name for field in methods.method_of(kind, upstream.method).fields if field.secret}
    return {
        name: references.read(value, name, variables) if name in secret and is_reference(value) else Secret(value)
        for name, value in fields.items()
    }


def is_slow(upstream: Upstream) -> bool:
    """Return whether it may take long until its credential is there.

    Raises:
        ConfigurationError: it cannot be opened.
    """
    if not upstream.method:
        return False
    used = references.used_by(Kind(upstream.kind), upstream.method, operations.fields_of(upstream))
    return references.are_slow(used)


def made(upstream: Upstream, values: Values) -> UpstreamCredential:
    """Return what the upstream is shown.

    Raises:
        ConfigurationError: the value cannot be sent, or this version has no way to show it.
    """
    kind, method = Kind(upstream.kind), upstream.method
    if method == "none":
        return NO_CREDENTIAL
    header = methods.HEADERS.get((kind, method))
    if header is None:
        raise ConfigurationError(
            f"A credential of the kind {method} cannot be shown to {kind.value} by this version.",
            hint="Choose another one.",
            move="administrator",
        )
    return FixedCredential(values["key"], cast("Header", header), "its credential")
