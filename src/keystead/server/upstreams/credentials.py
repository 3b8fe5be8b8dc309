"""From what is kept of a credential to what an upstream is shown."""

from collections.abc import Mapping
from functools import partial
from typing import Final, cast

from keystead.environment import Environment
from keystead.errors import ConfigurationError, KeysteadError
from keystead.secret import Secret
from keystead.server import cloud_credentials, cloud_names, outbound
from keystead.server.fixed_credential import NO_CREDENTIAL, FixedCredential, Header
from keystead.server.settings import ServerSettings
from keystead.server.upstream_shape import (
    Addresses,
    CredentialUnavailable,
    Kind,
    RenewedCredential,
    UpstreamCredential,
)
from keystead.server.upstream_shape import Upstream as Shape
from keystead.server.upstreams import methods, operations, references, trial
from keystead.server.upstreams.models import Upstream
from keystead.server.upstreams.workload_identity import WorkloadCredential
from keystead.sources.references import is_reference

Values = Mapping[str, Secret]
"""The fields of a credential, each as what it leads to."""

_AT_ONCE: Final = frozenset(methods.HEADERS) | {(Kind.MESSAGES, "none"), (Kind.OPENAI, "none")}
"""Those for which nobody has to be asked; the others renew what they show by ``refresh()``."""
USABLE: Final = _AT_ONCE | cloud_credentials.MAKERS.keys() | {(Kind.ANTHROPIC, "workload_identity")}
"""Kinds and methods that this version can show an upstream."""

_ROTATING: Final = frozenset({"identity_token"})
"""Replaced by the platform all the time: read when it is used, so that this alone does not make a credential anew."""


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
    secret = {field.name for field in methods.method_of(kind, upstream.method).fields if field.secret}
    return {
        name: _read(value, name) if name in secret and is_reference(value) and name not in _ROTATING else Secret(value)
        for name, value in fields.items()
    }


def _read(value: str, name: str) -> Secret:
    return references.read(value, name, Environment.capture().variables)


def is_slow(upstream: Upstream) -> bool:
    """Return whether it may take long until its credential is there.

    Raises:
        ConfigurationError: it cannot be opened.
    """
    if not upstream.method:
        return False
    if (Kind(upstream.kind), upstream.method) not in _AT_ONCE:
        return True
    used = references.used_by(Kind(upstream.kind), upstream.method, operations.fields_of(upstream))
    return references.are_slow(used)


def made(upstream: Upstream, values: Values, server: ServerSettings) -> UpstreamCredential:
    """Return what the upstream is shown.

    Raises:
        ConfigurationError: the value cannot be sent, or this version has no way to show it.
    """
    kind, method = Kind(upstream.kind), upstream.method
    if method == "none":
        return NO_CREDENTIAL
    if method == "workload_identity":
        kept = dict(values)
        identity = partial(_read, kept.pop("identity_token").reveal(), "identity_token")
        return WorkloadCredential(kept, identity, upstream.base_url, outbound.upstream_reach(server))
    if (kind, method) in cloud_credentials.MAKERS:
        return cloud_credentials.of(kind, method, values, upstream.region)
    header = methods.HEADERS.get((kind, method))
    if header is None:
        raise ConfigurationError(
            f"A credential of the kind {method} cannot be shown to {kind.value} by this version.",
            hint="Choose another one.",
            move="administrator",
        )
    return FixedCredential(values["key"], cast("Header", header), "its credential")


def shape(upstream: Upstream, credential: UpstreamCredential, addresses: Addresses | None = None) -> Shape:
    """Return the upstream as the gateway asks it."""
    return Shape(
        upstream.wire_id,
        upstream.name,
        Kind(upstream.kind),
        upstream.base_url,
        credential,
        models=upstream.model_names,
        known=cloud_names.names(Kind(upstream.kind), upstream.region, upstream.profile),
        serves=tuple(upstream.serves),
        headers=tuple(upstream.headers.items()),
        region=upstream.region,
        project=upstream.project,
        first_byte_seconds=upstream.first_byte_seconds,
        addresses=addresses,
    )


def described(upstream: Upstream) -> list[tuple[str, str]]:
    """Return each field of its credential by its label, for a page: a reference as it is, a secret never."""
    kept = operations.fields_of(upstream)
    fields = methods.method_of(Kind(upstream.kind), upstream.method).fields if upstream.method else ()
    return [(field.label, _shown(kept[field.name], field.secret)) for field in fields if field.name in kept]


def _shown(value: str, secret: bool) -> str:
    return value if not secret or is_reference(value) else "kept, encrypted"


def tried(upstream: Upstream, server: ServerSettings, model: str = "") -> trial.Outcome:
    """Read an upstream's credential and ask it; a reference that is a command may take up to a minute.

    ``model`` is as in :func:`.trial.ask`.
    """
    try:
        asked = shape(upstream, made(upstream, read(upstream, server), server))
        if isinstance(asked.credential, RenewedCredential):
            asked.credential.refresh()
    except KeysteadError as error:
        return trial.Outcome(works=False, sentence=f"{error.message} {error.hint}" if error.hint else error.message)
    except CredentialUnavailable as error:
        return trial.Outcome(works=False, sentence=f"Its credential cannot be had: {error}")
    return trial.ask(asked, outbound.upstream_reach(server), model)
