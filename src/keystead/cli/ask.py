"""``keystead -p QUESTION``: ask once through the credential's own address, and stream the answer to stdout."""

import sys
from collections.abc import Mapping
from typing import Final

import click

from keystead.cli.exits import visible
from keystead.cli.purse import open_purse
from keystead.cli.surroundings import Surroundings
from keystead.client import Authorized, Client
from keystead.drivers.transport import StreamedResponse, Transport
from keystead.errors import (
    ConfigurationError,
    CredentialRejected,
    KeysteadError,
    PolicyDenied,
    RateLimited,
    ServerFailure,
    UsageError,
)
from keystead.secret import Secret
from keystead.sources.configuration import Configuration
from keystead.wire import messages, sse
from keystead.wire.fields import Malformed
from keystead.wire.http import Request
from keystead.wire.messages import ApiError, Finished, Question, Stopped, TextDelta

_ERRORS: Final[Mapping[str, tuple[type[KeysteadError], str]]] = {
    "invalid_request_error": (ConfigurationError, "Correct the request; --model names another model."),
    "authentication_error": (CredentialRejected, "Run keystead status to see which credential was sent."),
    "permission_error": (PolicyDenied, "Ask the administrator of the organization."),
    "billing_error": (PolicyDenied, "Ask whoever pays for it."),
    "not_found_error": (ConfigurationError, "Choose a model with --model."),
    "request_too_large": (UsageError, "Ask with less text."),
    "rate_limit_error": (RateLimited, "Try again in a while."),
    "overloaded_error": (ServerFailure, "Try again in a while."),
    "timeout_error": (ServerFailure, "Try again in a while."),
    "api_error": (ServerFailure, "Try again in a while."),
}
"""Error type of the API -> class of ours, and the fix."""
_LARGEST_ERROR: Final = 1 << 20


def ask(surroundings: Surroundings, question: str, model: str | None) -> None:
    """Stream the answer to ``question``; what is piped in is appended to it.

    Raises:
        UsageError: there is nothing to ask.
        KeysteadError: by the table of error types, or because there is no credential.
    """
    text = _with_piped(question, surroundings)
    if not text.strip():
        raise UsageError("The question is empty.", hint='Ask something: keystead -p "hello"')
    client, network = surroundings.client(), surroundings.network()
    authorized = open_purse(surroundings, client)
    chosen = model or configured_model(surroundings)
    if chosen is None:
        chosen, authorized = _first_model(client, authorized, network)
    is_terminal = surroundings.environment.stdout_tty
    body = messages.dump_question(Question(chosen, text))
    if not _stream(authorized, body, network, is_terminal):
        again = client.again(authorized)  # one renewal or helper run, then it is final
        if not _stream(again, body, network, is_terminal):
            refused = f"{authorized.candidate.title} ({authorized.candidate.provenance})"
            raise CredentialRejected(
                f"{authorized.api_base} refused {refused} twice.",
                hint="Run keystead login to sign in again.",
            )


def _with_piped(question: str, surroundings: Surroundings) -> str:
    """Return the question and what stands on a piped standard input, a blank line between."""
    if surroundings.environment.stdin_tty:
        return question
    piped = "" if sys.stdin is None or sys.stdin.closed else _read_piped()
    return "\n\n".join(part for part in (question, piped) if part.strip())


def _read_piped() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8").strip("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"Standard input is not UTF-8 text (byte {error.start + 1}).", hint="Pipe in text.") from None
    except OSError:  # a closed or write-only descriptor: nothing is piped in
        return ""


def configured_model(surroundings: Surroundings) -> str | None:
    """Return the model that the variable or a settings file names."""
    configuration = Configuration.read(surroundings.environment)
    found = configuration.variable("ANTHROPIC_MODEL").value or configuration.setting("model").value
    return found.text.strip() or None if found else None


def _first_model(client: Client, authorized: Authorized, network: Transport) -> tuple[str, Authorized]:
    """Return the first model the server offers, and the credential that it accepted."""
    response = network.send(_request("GET", "/v1/models?limit=1000", authorized))
    if response.status == 401:
        authorized = client.again(authorized)
        response = network.send(_request("GET", "/v1/models?limit=1000", authorized))
    if response.status != 200:
        raise _failure(response.status, response.headers, response.body, authorized)
    try:
        offered = messages.parse_models(response.body)
    except Malformed as error:
        raise ServerFailure(f"{authorized.api_base} answered with something else: {error}.") from error
    if not offered:
        raise ConfigurationError(f"{authorized.api_base} offers no model.", hint="Name one with --model.")
    return offered[0], authorized


def _request(method: str, path: str, authorized: Authorized, body: bytes | None = None) -> Request:
    url = authorized.api_base + path
    headers: dict[str, str | Secret] = {"anthropic-version": messages.VERSION, **authorized.for_url(url)}
    if body is not None:
        headers["content-type"] = "application/json"
    return Request(method, url, headers, body=body)


def _stream(authorized: Authorized, body: bytes, network: Transport, is_terminal: bool) -> bool:
    """Write the answer to standard output; return False when the credential was refused with 401."""
    with network.stream(_request("POST", "/v1/messages", authorized, body)) as response:
        if response.status == 401:
            return False
        if response.status != 200:
            raise _failure(response.status, response.headers, _body(response), authorized)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise ServerFailure(f"{authorized.api_base} did not stream its answer.", hint="Check the base URL.")
        _write(response, authorized, is_terminal)
    return True


def _write(response: StreamedResponse, authorized: Authorized, is_terminal: bool) -> None:
    """Write the text as it comes; a terminal gets no control characters, for an answer must not drive it."""
    parser = sse.Parser()
    stop_reason, ends_line = "end_turn", True
    try:
        for chunk in response.iter_bytes():
            for event in parser.feed(chunk):
                match messages.parse_event(event):
                    case TextDelta(text):
                        click.echo(visible(text) if is_terminal else text, nl=False)
                        ends_line = text.endswith("\n") if text else ends_line
                    case Stopped(reason):
                        stop_reason = reason
                    case ApiError() as error:
                        raise _translate(error, authorized, None)
                    case Finished():
                        return _note(stop_reason)
        raise ServerFailure(f"{authorized.api_base} broke off its answer.", hint="What stands above is incomplete.")
    except (Malformed, sse.EventTooLarge) as error:
        raise ServerFailure(f"{authorized.api_base} streamed something else: {error}.") from error
    finally:
        if not ends_line:
            click.echo()


def _note(stop_reason: str) -> None:
    if stop_reason not in {"end_turn", "stop_sequence"}:
        click.echo(f"keystead: the answer ended early ({stop_reason}).", err=True)


def _body(response: StreamedResponse) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _LARGEST_ERROR:
            break
    return bytes(body)


def _failure(status: int, headers: Mapping[str, str], body: bytes, authorized: Authorized) -> KeysteadError:
    error = messages.parse_error(body)
    if error is None:
        return ServerFailure(
            f"{authorized.api_base} answered with HTTP {status} and not in the format of the Messages API.",
            hint="Check the base URL.",
        )
    return _translate(error, authorized, headers.get("retry-after"))


def _translate(error: ApiError, authorized: Authorized, retry_after: str | None) -> KeysteadError:
    kind, hint = _ERRORS.get(error.type, (KeysteadError, "Run keystead status to see what was asked."))
    if kind is RateLimited and retry_after and retry_after.isascii() and retry_after.isdigit():
        hint = f"Try again in {int(retry_after)} s."
    return kind(f"{authorized.api_base} says {error.type}: {error.message}", hint=hint)
