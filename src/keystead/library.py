"""Functions for programs that need one credential and no :class:`~keystead.client.Client` of their own.

::

    import keystead

    with keystead.anthropic_client() as anthropic:
        anthropic.messages.create(...)
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from keystead.client import Client
from keystead.credentials import CloudCredential
from keystead.errors import ConfigurationError, KeysteadError
from keystead.release import Sendable
from keystead.resolver import Resolution
from keystead.sources.candidate import Candidate
from keystead.wire import dialects

if TYPE_CHECKING:
    import anthropic

    AnthropicClient = (
        anthropic.Anthropic
        | anthropic.AnthropicBedrock
        | anthropic.AnthropicBedrockMantle
        | anthropic.AnthropicVertex
        | anthropic.AnthropicFoundry
    )
    AsyncAnthropicClient = (
        anthropic.AsyncAnthropic
        | anthropic.AsyncAnthropicBedrock
        | anthropic.AsyncAnthropicBedrockMantle
        | anthropic.AsyncAnthropicVertex
        | anthropic.AsyncAnthropicFoundry
    )
    from keystead.auth import KeysteadAuth

_PLACEHOLDER: Final = "set for each request by Keystead"
"""Keeps the SDK from looking for a credential by itself; never sent."""

_OURS: Final = frozenset({"api_key", "auth_token", "credentials", "config", "profile", "base_url", "http_client"})


def resolve(*, profile: str | None = None) -> Resolution:
    """Decide which credential this process would use and why, as ``keystead status`` does; no side effects.

    Args:
        profile: which account; None takes the one meant here, by variable, directory binding or default (R-04).
    """
    return Client.local(profile=profile).resolve()


def authorize(request: Sendable, *, profile: str | None = None) -> Sendable:
    """Put this machine's credential on ``request``, in its one header, and return the request.

    Args:
        request: of httpx2, httpx, requests or ``urllib.request``, or anything else with ``url`` and ``headers``. Let
            the program that sends it follow no redirect: some libraries take the header along.
        profile: as for :func:`resolve`.

    Raises:
        PolicyDenied: the credential does not belong to the request's origin (R-07).
        KeysteadError: as for :meth:`Client.credential`.
    """
    return Client.local(profile=profile).authorize(request)


def anthropic_client(client: Client | None = None, **options: Any) -> "AnthropicClient":
    """Return the official SDK's client on this machine's credential, renewed for as long as the client lives (R-10).

    With a cloud switched on it is the SDK's client for that cloud: ``AnthropicBedrock``, ``AnthropicVertex``, …
    Redirects are not followed. An error of Keystead reaches the caller as it is, and at once.

    Args:
        client: whose credential; by default that of this process's environment.
        options: of the SDK's client, but for credential, ``base_url``, ``http_client`` and what a cloud wants to know.

    Raises:
        ConfigurationError: the ``anthropic`` package is missing, or too old.
        CloudNotReady: a cloud is in use, and its credentials, region or project are missing.
        KeysteadError: there is no credential.
    """
    sdk = _sdk()
    name, auth, wiring = _wiring(sdk, client or Client.local(), options)
    http = sdk.DefaultHttpxClient(auth=auth, follow_redirects=False)
    made: AnthropicClient = getattr(sdk, name)(http_client=http, **wiring)
    return made


def async_anthropic_client(client: Client | None = None, **options: Any) -> "AsyncAnthropicClient":
    """Return the same for a program with an event loop; see :func:`anthropic_client`.

    Making it reads some local files; using it never blocks the loop.
    """
    sdk = _sdk()
    name, auth, wiring = _wiring(sdk, client or Client.local(), options)
    http = sdk.DefaultAsyncHttpxClient(auth=auth, follow_redirects=False)
    made: AsyncAnthropicClient = getattr(sdk, f"Async{name}")(http_client=http, **wiring)
    return made


def _sdk() -> Any:
    from importlib import import_module

    try:
        sdk = import_module("anthropic")
    except ModuleNotFoundError:
        sdk = None
    if not hasattr(sdk, "Middleware"):  # versions before it are built on another HTTP library
        raise ConfigurationError(
            "The anthropic package is missing or too old.", hint="Install it with: pip install 'anthropic>=2.12'"
        )
    return sdk


def _wiring(sdk: Any, client: Client, options: dict[str, Any]) -> "tuple[str, KeysteadAuth, dict[str, Any]]":
    """Return the client's class, what adds the credential, and the arguments that both kinds of client take."""
    from keystead.auth import KeysteadAuth

    class Uncover(sdk.Middleware):  # type: ignore[misc]  # the module is Any here
        """Takes an error of Keystead out of the SDK's, which it would try again after."""

        def handle(self, request: object, go_on: Callable[[object], Any]) -> Any:
            try:
                return go_on(request)
            except sdk.APIConnectionError as error:
                _raise_ours(error)
                raise

        async def handle_async(self, request: object, go_on: Callable[[object], Awaitable[Any]]) -> Any:
            try:
                return await go_on(request)
            except sdk.APIConnectionError as error:
                _raise_ours(error)
                raise

    winner = client.resolve().require()
    name, ours = _place(winner, client)
    taken = sorted((_OURS | ours.keys()) & options.keys())
    if taken:
        raise TypeError(f"{', '.join(taken)}: set by Keystead")
    return (
        name,
        KeysteadAuth(client),
        {
            **ours,
            **options,
            "middleware": [*options.get("middleware", ()), Uncover()],
        },
    )


def _place(winner: Candidate, client: Client) -> tuple[str, dict[str, Any]]:
    """Return the SDK's class for where requests go, and the arguments that say where that is."""
    if not isinstance(winner.credential, CloudCredential):
        base = winner.api_base or client.credential().api_base
        return "Anthropic", {"api_key": _PLACEHOLDER, "base_url": base}
    access = client.access()
    route = access.route
    assert route is not None
    at = {"base_url": route.base}
    match winner.credential.provider:
        case "bedrock":
            return "AnthropicBedrock", {**at, "api_key": _PLACEHOLDER, "aws_region": route.region}
        case "mantle":
            return "AnthropicBedrockMantle", {**at, "skip_auth": True, "aws_region": route.region}
        case "aws":
            workspace = route.dialect.headers[dialects.WORKSPACE]
            return "AnthropicAWS", {**at, "skip_auth": True, "workspace_id": workspace, "aws_region": route.region}
        case "vertex":
            place = {"project_id": route.project, "region": route.region}
            return "AnthropicVertex", {**at, **place, "access_token": _PLACEHOLDER}
    return "AnthropicFoundry", {**at, "api_key": _PLACEHOLDER}


def _raise_ours(error: Exception) -> None:
    if isinstance(error.__cause__, KeysteadError):
        raise error.__cause__ from None
