"""Amazon: keys of a user, of a role, or of the server's own machine; requests are signed by botocore's own signer."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlunsplit

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.exceptions
import botocore.session
from botocore.credentials import ReadOnlyCredentials

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.drivers.cloud import STEP
from keystead.drivers.command import redacted
from keystead.errors import CloudNotReady, KeysteadError, ServerUnreachable
from keystead.secret import Secret
from keystead.server.cloud_credentials.renewed import renew_at, renewal_due
from keystead.server.upstream_shape import CredentialUnavailable, Kind, Unsigned

if TYPE_CHECKING:
    from botocore.credentials import Credentials

SERVICES: Final = {Kind.BEDROCK: "bedrock", Kind.AWS: "aws-external-anthropic"}
"""What a signature is for."""
_DIGEST: Final = "x-amz-content-sha256"
_SESSION_NAME: Final = "keystead"
_FIX: Final = "Check the keys, the role and what it trusts."


def make(kind: Kind, method: str, fields: Mapping[str, Secret], region: str) -> "SignedCredential":
    """Return the signer; see :func:`keystead.server.cloud_credentials.of`."""
    values = {name: value.reveal() for name, value in fields.items()}
    session = botocore.session.Session(profile=values.get("profile"))
    session.set_config_variable("region", region)
    wait = botocore.config.Config(connect_timeout=STEP, read_timeout=STEP, retries={"total_max_attempts": 1})
    session.set_default_client_config(wait)
    if method == "access_keys":
        session.set_credentials(values["access_key_id"], values["secret_access_key"], values.get("session_token"))
    return SignedCredential(session, SERVICES[kind], region, values.get("role_arn"), values.get("external_id"))


class _State(NamedTuple):
    """What is signed with; replaced as a whole, since another thread reads it."""

    keys: ReadOnlyCredentials | None = None
    version: int = 0
    renew_at: float = 0.0
    ends_at: float = 0.0
    got_at: float = 0.0


class SignedCredential:
    """Implements :class:`~keystead.server.upstream_shape.UpstreamCredential`.

    Args:
        session: whose chain has the keys.
        service: what the signatures are for.
        region: where that is.
        role: to be assumed with those keys; None signs with them.
        external_id: what the role's owner wants to hear.
        clock: by which keys end.
    """

    fixed: bytes | None = None

    def __init__(
        self,
        session: botocore.session.Session,
        service: str,
        region: str,
        role: str | None = None,
        external_id: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._session = session
        self._service = service
        self._region = region
        self._role = role
        self._external_id = external_id
        self._clock = clock
        self._state = _State()
        self._refused = -1

    def refused(self) -> None:
        """See :class:`~keystead.server.upstream_shape.RenewedCredential`."""
        self._refused = self._state.version

    def __repr__(self) -> str:
        return f"SignedCredential({self._service})"

    @property
    def version(self) -> int:
        """Grows when the keys were renewed."""
        return self._state.version

    def refresh(self) -> None:
        """Get the keys if there are none, or they end soon.

        Raises:
            KeysteadError: there are none to be had; those that have not ended yet go on.
        """
        state, now = self._state, self._clock.now()
        if now < renewal_due(state, refused=self._refused == state.version):
            return
        try:
            keys, ends_at = self._found() if self._role is None else self._assumed(self._role)
        except Exception as error:  # noqa: BLE001  whatever botocore raised is told as an error of ours
            if state.keys is not None and now >= state.ends_at:
                self._state = _State(version=state.version + 1)
            raise _explained(error) from None
        again = min(renew_at(ends_at, now), now + 60.0) if self._role is None else renew_at(ends_at, now)
        version = state.version if keys == state.keys else state.version + 1
        self._state = _State(keys, version, again, ends_at, now)

    def _found(self) -> tuple[ReadOnlyCredentials, float]:
        """Return the keys of the chain, which botocore itself renews when they are near their end."""
        credentials: Credentials | None = self._session.get_credentials()
        if credentials is None:
            raise CloudNotReady("AWS credentials were not found in any place that the AWS SDK looks.", hint=_FIX)
        keys = credentials.get_frozen_credentials()
        end = getattr(credentials, "_expiry_time", None)  # botocore has no public reader for it
        return keys, end.timestamp() if isinstance(end, datetime) else float("inf")

    def _assumed(self, role: str) -> tuple[ReadOnlyCredentials, float]:
        asked = {"RoleArn": role, "RoleSessionName": _SESSION_NAME}
        if self._external_id is not None:
            asked["ExternalId"] = self._external_id
        found = self._session.create_client("sts", region_name=self._region).assume_role(**asked)["Credentials"]
        keys = ReadOnlyCredentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        return keys, found["Expiration"].timestamp()

    def lines(self, request: Unsigned) -> bytes:
        """Return the signature of a request, over its address, its body and the time (Signature Version 4).

        Raises:
            CredentialUnavailable: there are no keys that have not ended.
        """
        state = self._state
        keys = state.keys
        if keys is None or self._clock.now() >= state.ends_at:
            raise CredentialUnavailable("there are no keys of AWS that have not ended")
        host, (path, _, query) = request.host.decode("ascii"), request.target.decode("ascii").partition("?")
        signed = botocore.awsrequest.AWSRequest(
            method=request.method.decode("ascii"),
            url=urlunsplit(("https", host, path, query, "")),
            headers={"host": host, _DIGEST: hashlib.sha256(request.body).hexdigest()},
            data=request.body,
        )
        botocore.auth.SigV4Auth(keys, self._service, self._region).add_auth(signed)
        own = [(name, value) for name, value in signed.headers.items() if name.lower() != "host"]
        return "".join([f"{name}: {value}\r\n" for name, value in own]).encode("ascii")


def _explained(error: Exception) -> Exception:
    """Return what botocore raised as an error of ours."""
    if isinstance(error, KeysteadError):
        return error
    if isinstance(error, botocore.exceptions.ClientError):
        said = error.response.get("Error", {})
        return CloudNotReady(
            f"AWS refused the credentials ({said.get('Code', 'Unknown')}): {redacted(str(said.get('Message', '')))}",
            hint=_FIX,
        )
    if isinstance(error, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError):
        return ServerUnreachable(f"AWS could not be reached ({type(error).__name__}).", hint="Check the network.")
    return CloudNotReady(f"AWS credentials cannot be used: {redacted(str(error))}", hint=_FIX)
