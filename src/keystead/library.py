"""Functions for programs that need one credential and no :class:`~keystead.client.Client` of their own.

::

    import keystead

    with keystead.anthropic_client() as anthropic:
        anthropic.messages.create(...)
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from keystead.client import Client, Sendable
from keystead.errors import ConfigurationError, KeysteadError
from keystead.resolver import Resolution

if TYPE_CHECKING:
    import anthropic

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


def anthropic_client(client: Client | None = None, **options: Any) -> "anthropic.Anthropic":
    """Return the official SDK's client on this machine's credential, renewed for as long as the client lives (R-10).

    Redirects are not followed. An error of Keystead reaches the caller as it is, and at once.

    Args:
        client: whose credential; by default that of this process's environment.
        options: of ``anthropic.Anthropic``, but for the credential, ``base_url`` and ``http_client``.

    Raises:
        ConfigurationError: the ``anthropic`` package is missing, or too old.
        UnsupportedCredential: a cloud is in use; take the SDK's own client for it.
        KeysteadError: there is no credential.
    """
    sdk = _sdk()
    auth, wiring = _wiring(sdk, client or Client.local(), options)
    http = sdk.DefaultHttpxClient(auth=auth, follow_redirects=False)
    made: anthropic.Anthropic = sdk.Anthropic(http_client=http, **wiring)
    return made


def async_anthropic_client(client: Client | None = None, **options: Any) -> "anthropic.AsyncAnthropic":
    """Return the same for a program with an event loop; see :func:`anthropic_client`.

    Making it reads some local files; using it never blocks the loop.
    """
    sdk = _sdk()
    auth, wiring = _wiring(sdk, client or Client.local(), options)
    http = sdk.DefaultAsyncHttpxClient(auth=auth, follow_redirects=False)
    made: anthropic.AsyncAnthropic = sdk.AsyncAnthropic(http_client=http, **wiring)
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


def _wiring(sdk: Any, client: Client, options: dict[str, Any]) -> "tuple[KeysteadAuth, dict[str, Any]]":
    """Return what adds the credential, and the arguments that both kinds of client take."""
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
    taken = sorted(_OURS & options.keys())
    if taken:
        raise TypeError(f"{', '.join(taken)}: set by Keystead")
    return KeysteadAuth(client), {
        "api_key": _PLACEHOLDER,
        "base_url": winner.api_base or client.credential().api_base,  # a cloud has none, and the second says so
        **options,
        "middleware": [*options.get("middleware", ()), Uncover()],
    }


def _raise_ours(error: Exception) -> None:
    if isinstance(error.__cause__, KeysteadError):
        raise error.__cause__ from None
