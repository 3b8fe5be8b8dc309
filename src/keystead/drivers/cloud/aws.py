"""Amazon: botocore's chain, proven by STS GetCallerIdentity, which needs no permission.

A Bedrock API key (``AWS_BEARER_TOKEN_BEDROCK``) is not known to STS; it is proven by listing models. Requests are
signed here, by botocore's own signer.
"""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session
import botocore.utils

from keystead.credentials.cloud import CloudIdentity, Unsigned
from keystead.drivers.cloud import STEP
from keystead.drivers.command import redacted
from keystead.environment import Environment
from keystead.errors import CloudNotReady, KeysteadError, ServerUnreachable

if TYPE_CHECKING:
    from botocore.credentials import Credentials

BEARER: Final = "AWS_BEARER_TOKEN_BEDROCK"
PLATFORM_KEY: Final = "ANTHROPIC_AWS_API_KEY"
FIX: Final = "Run `aws sso login`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
_KEY_FIX: Final = f"Make a new Bedrock API key, or unset {BEARER} to use the other AWS credentials."
_ANYWHERE: Final = "us-east-1"
_DIGEST: Final = "x-amz-content-sha256"
_ROLES: Final = "aws-roles"
_SHORT_TERM: Final = "bedrock-api-key-"


def obtain(cloud: str, environment: Environment, now: float) -> CloudIdentity:
    """Return the caller's identity; see :func:`keystead.drivers.cloud.obtain` for the errors."""
    variables = environment.variables
    with _explained():
        session = _session(environment)
        region = variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or _profile_region(session)
        notes = () if region else ("no region is set; set AWS_REGION",)
        if cloud == "aws" and variables.get(PLATFORM_KEY):
            return CloudIdentity(cloud, PLATFORM_KEY, region=region, notes=notes)
        if cloud != "aws" and variables.get(BEARER):
            return _bearer(cloud, session, variables[BEARER], region, notes, now)
        return _caller(cloud, session, region, notes)


def sign(cloud: str, environment: Environment, unsigned: Unsigned) -> dict[str, str]:  # noqa: ARG001  one shape for all
    """Return the headers that sign one request, by AWS's Signature Version 4; the errors are those of :func:`obtain`.

    The body need not be here: the signature covers its hash, which is sent along.
    """
    with _explained():
        frozen = _found(_session(environment)).get_frozen_credentials()
    headers = {**unsigned.headers, _DIGEST: unsigned.digest}
    request = botocore.awsrequest.AWSRequest(method=unsigned.method, url=unsigned.url, headers=headers)
    botocore.auth.SigV4Auth(frozen, unsigned.service, unsigned.region).add_auth(request)
    return {name: value for name, value in request.headers.items() if name.lower() not in unsigned.headers}


@contextmanager
def _explained() -> Iterator[None]:
    """Raise whatever botocore raises as an error of ours."""
    try:
        yield
    except botocore.exceptions.BotoCoreError as error:
        raise _translate(error) from None
    except botocore.exceptions.ClientError as error:
        raise _refused(error, FIX) from None
    except (ValueError, KeyError, TypeError) as error:  # what a credential_process prints is not checked by botocore
        raise CloudNotReady(
            f"AWS credentials could not be read ({type(error).__name__}).",
            hint="Run `aws sts get-caller-identity` to see which file or credential_process is at fault.",
        ) from None


class _Roles(botocore.utils.JSONFileCache):
    """botocore's cache of role credentials, files of mode 0600; where nothing can be written, nothing is kept."""

    def __setitem__(self, cache_key: str, value: object) -> None:
        with suppress(OSError):
            super().__setitem__(cache_key, value)  # type: ignore[no-untyped-call]


def _session(environment: Environment) -> botocore.session.Session:
    """Return a session that waits for nothing long; botocore reads files and variables itself.

    Credentials of a role, which cost a call to AWS, are kept by botocore until they end, in the state directory.
    """
    variables = environment.variables
    session = botocore.session.Session()
    # the profile of the variables, also where botocore of this version would read AWS_DEFAULT_PROFILE first
    if variables.get("AWS_PROFILE"):
        session.set_config_variable("profile", variables["AWS_PROFILE"])
    if variables.get("AWS_REGION"):  # which botocore does not read, and STS of a role needs
        session.set_config_variable("region", variables["AWS_REGION"])
    session.set_default_client_config(
        botocore.config.Config(connect_timeout=STEP, read_timeout=STEP, retries={"total_max_attempts": 1})
    )
    cache = _Roles(str(environment.state_dir / _ROLES))  # type: ignore[no-untyped-call]
    session.register_component(
        "credential_provider", botocore.credentials.create_credential_resolver(session, cache=cache)
    )
    return session


def _found(session: botocore.session.Session) -> "Credentials":
    credentials: Credentials | None = session.get_credentials()
    if credentials is None:
        raise CloudNotReady("AWS credentials were not found in any place that the AWS SDK looks.", hint=FIX)
    return credentials


def _profile_region(session: botocore.session.Session) -> str | None:
    region = session.get_config_variable("region")
    return region if isinstance(region, str) else None


def _caller(cloud: str, session: botocore.session.Session, region: str | None, notes: tuple[str, ...]) -> CloudIdentity:
    credentials = _found(session)
    credentials.get_frozen_credentials()  # renews now what would be renewed by the first request
    found = CloudIdentity(cloud, credentials.method or "unknown", region=region, expires_at=_expiry(credentials))
    try:
        caller = session.create_client("sts", region_name=region or _ANYWHERE).get_caller_identity()
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
        return replace(found, notes=(*notes, f"AWS STS could not be asked ({type(error).__name__})"))
    return replace(found, account=caller["Account"], principal=caller["Arn"], proven=True, notes=notes)


def _expiry(credentials: "Credentials") -> float | None:
    """Return when refreshable credentials end; botocore has no public reader for it."""
    expiry = getattr(credentials, "_expiry_time", None)
    return expiry.timestamp() if isinstance(expiry, datetime) else None


def _bearer(
    cloud: str, session: botocore.session.Session, token: str, region: str | None, notes: tuple[str, ...], now: float
) -> CloudIdentity:
    expires_at = short_term_expiry(token)
    if expires_at is not None and expires_at <= now:
        raise CloudNotReady(f"The Bedrock API key in {BEARER} has expired.", hint=_KEY_FIX)
    found = CloudIdentity(cloud, BEARER, region=region, expires_at=expires_at)
    try:
        session.create_client("bedrock", region_name=region or _ANYWHERE).list_foundation_models()
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
        return replace(found, notes=(*notes, f"Amazon Bedrock could not be asked ({type(error).__name__})"))
    except botocore.exceptions.ClientError as error:
        # A key that may invoke models but not list them is known to Bedrock: that is the proof.
        if "not authorized to perform" not in str(error.response["Error"].get("Message", "")):
            raise _refused(error, _KEY_FIX) from None
    return replace(found, proven=True, notes=notes)


def short_term_expiry(token: str) -> float | None:
    """Return when a short-term Bedrock API key ends: it wraps a presigned address. None for a long-term key."""
    if not token.startswith(_SHORT_TERM):
        return None
    try:
        address = base64.b64decode(token.removeprefix(_SHORT_TERM), validate=True).decode("ascii")
        query = parse_qs(address.partition("?")[2])
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return (signed + timedelta(seconds=int(query["X-Amz-Expires"][0]))).timestamp()
    except (binascii.Error, ValueError, KeyError, OverflowError):
        return None


def _refused(error: botocore.exceptions.ClientError, fix: str) -> KeysteadError:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.response.get("Error", {}).get("Code", "Unknown")
    text = redacted(str(error.response.get("Error", {}).get("Message", "")))
    if status >= 500 or status == 429:
        return ServerUnreachable(f"AWS answered {error.operation_name} with {code}.", hint="Try again in a moment.")
    return CloudNotReady(f"AWS refused the credentials ({code}): {text}", hint=fix)


def _translate(error: botocore.exceptions.BotoCoreError) -> KeysteadError:
    if isinstance(error, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError):
        return ServerUnreachable(
            f"The AWS credential chain could not reach a server it needs ({type(error).__name__}).",
            hint="Check the network and HTTPS_PROXY.",
        )
    return CloudNotReady(f"AWS credentials cannot be used: {redacted(str(error))}", hint=FIX)
