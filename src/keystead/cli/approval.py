"""Get the tokens of a new sign-in: in the browser here, or with a code on another device."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue
from typing import Final

from keystead.cli.announcements import Announcer
from keystead.cli.surroundings import Surroundings
from keystead.credentials import OAuthTokens
from keystead.drivers import browser, conversation, loopback, terminal
from keystead.drivers.transport import Transport
from keystead.errors import CredentialExpired, KeysteadError, UsageError
from keystead.flows import authorization_code, device
from keystead.flows.authorization_code import Attempt
from keystead.secret import Secret
from keystead.wire.oauth import ServerMetadata

CLIENT_ID: Final = "keystead-cli"
PATIENCE: Final = 600.0
"""Seconds to wait for the browser; as long as a device code lives."""
_SCOPES: Final = ("openid", "profile", "email", "offline_access", "models:use")

Outcome = Secret | KeysteadError
"""The code, or why there is none."""


def scope(metadata: ServerMetadata) -> str:
    """Return what to ask for: what Keystead needs, as far as the server offers it."""
    offered = metadata.scopes_supported or _SCOPES
    return " ".join(name for name in _SCOPES if name in offered)


def wants_device(surroundings: Surroundings, metadata: ServerMetadata, *, asked: bool, no_browser: bool) -> bool:
    """Whether to use a device code: asked for, or no browser can be opened and seen here (R-05).

    ``no_browser`` means that the person opens the address themselves, so the missing display is no obstacle.
    """
    if asked or metadata.authorization_endpoint is None:
        return True
    if metadata.device_authorization_endpoint is None or no_browser:
        return False
    environment = surroundings.environment
    someone_watches = environment.stdin_tty or environment.stdout_tty or environment.stderr_tty
    return not someone_watches or browser.obstacle(environment) is not None


def by_device(
    surroundings: Surroundings, network: Transport, metadata: ServerMetadata, announcer: Announcer
) -> OAuthTokens:
    """Show a code and wait until it is approved."""
    clock = surroundings.clock
    codes = conversation.run(device.start(metadata, CLIENT_ID, scope(metadata)), network, clock)
    announcer.device(codes.user_code, codes.verification_uri, codes.verification_uri_complete, codes.expires_in)
    return conversation.run(device.poll(metadata, CLIENT_ID, codes, clock.now), network, clock)


def by_browser(
    surroundings: Surroundings,
    network: Transport,
    metadata: ServerMetadata,
    announcer: Announcer,
    *,
    no_browser: bool,
    patience: float = PATIENCE,
) -> OAuthTokens:
    """Open the browser; its callback and a pasted code race, and the first one wins."""
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    waiting: list[Attempt] = []

    def callback(query: str) -> bool:
        return bool(waiting) and _take(outcomes, lambda: authorization_code.code_from_callback(waiting[0], query))

    with loopback.listening(callback) as redirect_uri:
        attempt = authorization_code.begin(
            metadata, CLIENT_ID, redirect_uri, scope(metadata), surroundings.random_bytes
        )
        url = attempt.url
        waiting.append(attempt)
        environment = surroundings.environment
        opened = not no_browser and browser.obstacle(environment) is None
        announcer.browser(url, opened=opened, pasting=environment.stdin_tty)
        if opened and not surroundings.open_address(url, environment):
            announcer.warning("No browser could be started; open the address yourself")
        with _pasting(surroundings, attempt, outcomes, announcer):
            outcome = _first(outcomes, surroundings, patience)
    if isinstance(outcome, KeysteadError):
        raise outcome
    return conversation.run(
        authorization_code.redeem(attempt, outcome, surroundings.clock.now), network, surroundings.clock
    )


def _take(outcomes: SimpleQueue[Outcome], find: Callable[[], Secret]) -> bool:
    """Queue the code, or the server's refusal; return False for an answer that is not meant for this attempt."""
    try:
        outcomes.put(find())
    except UsageError as error:
        # Denied on the page is an answer (Cancelled); a strange state or a damaged paste is none.
        if type(error) is UsageError:
            return False
        outcomes.put(error)
    except KeysteadError as error:
        outcomes.put(error)
    return True


def _pasting(
    surroundings: Surroundings, attempt: Attempt, outcomes: SimpleQueue[Outcome], announcer: Announcer
) -> AbstractContextManager[None]:
    """Read what is typed or piped in while the browser is waited for: ``c`` copies, a code finishes."""
    stdin = surroundings.stdin
    if stdin is None:
        return nullcontext()

    def deliver(line: str) -> None:
        if line == terminal.COPY_KEY:
            surroundings.to_terminal(terminal.copy(attempt.url))
            announcer.copied()
            return
        try:
            outcomes.put(authorization_code.code_from_paste(attempt, line))
        except UsageError as error:
            if type(error) is UsageError:
                announcer.not_a_code(error.message)
            else:
                outcomes.put(error)
        except KeysteadError as error:
            outcomes.put(error)

    return terminal.reading(deliver, stdin)


def _first(outcomes: SimpleQueue[Outcome], surroundings: Surroundings, patience: float) -> Outcome:
    """Return the first outcome; short waits, so that Ctrl-C is heard on every platform."""
    end = surroundings.clock.monotonic() + patience
    while surroundings.clock.monotonic() < end:
        try:
            return outcomes.get(timeout=0.2)
        except Empty:
            continue
    raise CredentialExpired("Nobody finished the sign-in in time.", hint="Run keystead login to try again.")
