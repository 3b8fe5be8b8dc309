"""Who a cloud takes this machine for, the token it gave for that, and a request before it is signed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keystead.secret import Secret
from keystead.wire.fields import Fields


@dataclass(frozen=True, slots=True)
class CloudIdentity:
    """One answer of a cloud's own SDK.

    Attributes:
        cloud: ``bedrock``, ``vertex``, ``foundry``, ``aws`` or ``mantle``.
        source: where the SDK found the credential, in its words: ``env``, ``sso``, ``iam-role``, …
        account: who is billed: AWS account, Google Cloud project, Entra tenant.
        principal: who it is: an ARN, a service account, an object id.
        expires_at: Unix seconds; None for what does not expire.
        proven: whether the cloud itself accepted it, rather than it only being there.
        notes: clauses about what is odd or could not be checked.
    """

    cloud: str
    source: str
    account: str | None = None
    principal: str | None = None
    region: str | None = None
    expires_at: float | None = None
    proven: bool = False
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the shape in JSON outputs, in the cache, and between the processes."""
        return asdict(self) | {"notes": list(self.notes)}


def parse(fields: Fields) -> CloudIdentity:
    """Read what :meth:`CloudIdentity.to_json` wrote.

    Raises:
        Malformed: it is something else.
    """
    expires_at = fields.number("expires_at") if fields.has("expires_at") else None
    return CloudIdentity(
        cloud=fields.text("cloud"),
        source=fields.text("source"),
        account=fields.optional_text("account"),
        principal=fields.optional_text("principal"),
        region=fields.optional_text("region"),
        expires_at=expires_at,
        proven=fields.flag("proven"),
        notes=fields.texts("notes"),
    )


@dataclass(frozen=True, slots=True)
class CloudToken:
    """A bearer token that a cloud's own SDK fetched, and whose it is; ``identity.expires_at`` is its end."""

    identity: CloudIdentity
    secret: Secret

    def to_json(self) -> dict[str, Any]:
        """Return the shape in the cache and between the processes, the token included."""
        return {**self.identity.to_json(), "token": self.secret.reveal()}


def parse_token(fields: Fields) -> CloudToken:
    """Read what :meth:`CloudToken.to_json` wrote.

    Raises:
        Malformed: it is something else.
    """
    return CloudToken(parse(fields), Secret(fields.text("token")))


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request as its signer sees it: no body, for a signature covers the hash of it.

    Attributes:
        headers: those that the signature covers, by lower-case name.
        digest: SHA-256 of the body, in hex.
        service: whose name is in the signature.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    digest: str
    service: str
    region: str

    def to_json(self) -> dict[str, Any]:
        """Return the shape between the processes."""
        return {**asdict(self), "headers": dict(self.headers)}


def parse_unsigned(fields: Fields) -> Unsigned:
    """Read what :meth:`Unsigned.to_json` wrote."""
    return Unsigned(
        fields.text("method"),
        fields.text("url"),
        fields.object("headers").all_texts(),
        fields.text("digest"),
        fields.text("service"),
        fields.text("region"),
    )
