"""``keystead -p QUESTION``: ask once through the credential's own address, and stream the answer to stdout."""

import sys
from collections.abc import Mapping
from typing import Final

import click

from keystead.cli.exits import sentence, visible
from keystead.cli.purse import checked
from keystead.cli.surroundings import Surroundings
from keystead.client import LOGIN_KINDS, Client
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
from keystead.release import Access, Authorized
from keystead.secret import Secret
from keystead.sources.configuration import Configuration
from keystead.wire import dialects, event_stream, messages, sse
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
_OUTSIDE: Final = "availableModels"
"""What a gateway names when a policy leaves the model out."""
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
    access = client.access(checked(surroundings, client))
    chosen = model or configured_model(surroundings)
    if chosen is None:
        chosen, access = _first_model(client, access, network)
    is_terminal = surroundings.environment.stdout_tty
    asked = Question(chosen, text)
    refused = _stream(access, asked, network, is_terminal)
    if refused is not None:
        # one renewal or helper run, then it is final; what is signed was signed anew
        if not isinstance(access, Authorized):
            raise rejected(access, refused)
        refused = _stream(again(client, access, refused), asked, network, is_terminal)
        if refused is not None:
            raise rejected(access, refused, " twice")


def again(client: Client, access: Authorized, refusal: bytes) -> Authorized:
    """Return a credential to try once more (R-09).

    Args:
        client: renews it.
        access: what was refused.
        refusal: the answer's body. What it says is told where nothing can be renewed.

    Raises:
        KeysteadError: as :meth:`Client.again`.
    """
    try:
        return client.again(access)
    except CredentialRejected as error:
        if access.candidate.source in LOGIN_KINDS:
            raise
        raise CredentialRejected(error.message + _words(access, refusal), hint=error.hint) from error


def _words(access: Access, refusal: bytes) -> str:
    """Return what a server says of a credential that it refuses, as a sentence to append, or nothing."""
    error = messages.parse_error(refusal)
    return f" It says: {sentence(access.masked(error.message))}" if error is not None and error.message.strip() else ""


def rejected(access: Access, refusal: bytes, times: str = "") -> CredentialRejected:
    """Return that a credential was refused, what the server says of it, and the fix."""
    refused = f"{access.candidate.title} ({access.candidate.provenance})"
    cloud, login = "Run keystead status --verify to see what the cloud says.", "Run keystead login to sign in again."
    said = f"{access.api_base} refused {refused}{times}.{_words(access, refusal)}"
    return CredentialRejected(said, hint=cloud if access.route else login)


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


def _first_model(client: Client, access: Access, network: Transport) -> tuple[str, Access]:
    """Return the first model the server offers, and the credential that it accepted. A cloud has no such list."""
    if access.route is not None or not isinstance(access, Authorized):
        raise ConfigurationError(
            f"No model is named, and {access.candidate.title} has no list of which the first could be asked.",
            hint=f"Name one with --model or ANTHROPIC_MODEL: {access.route.model if access.route else 'its id'}.",
        )
    authorized = access
    url = f"{authorized.api_base}/v1/models?limit=1000"
    response = network.send(_request("GET", url, authorized, {"anthropic-version": messages.VERSION}))
    if authorized.is_refused(response.status):
        authorized = again(client, authorized, response.body)
        response = network.send(_request("GET", url, authorized, {"anthropic-version": messages.VERSION}))
    if response.status != 200:
        raise failure(response.status, response.headers, response.body, authorized)
    try:
        offered = messages.parse_models(response.body)
    except Malformed as error:
        raise ServerFailure(f"{authorized.api_base} answered with something else: {error}.") from error
    if not offered:
        raise ConfigurationError(f"{authorized.api_base} offers no model.", hint="Name one with --model.")
    return offered[0], authorized


def _request(method: str, url: str, access: Access, head: Mapping[str, str], body: bytes | None = None) -> Request:
    headers: dict[str, str | Secret] = {**head, **access.headers_for(method, url, head, body)}
    return Request(method, url, headers, body=body)


def _question(access: Access, question: Question) -> Request:
    """Return the request that asks, as it is spoken where the credential belongs."""
    dialect = access.route.dialect if access.route else dialects.MESSAGES
    try:
        url = access.api_base + dialect.address(question.model)
    except ValueError as error:
        raise ConfigurationError(f"That cannot be the name of a model: {error}.", hint="Correct --model.") from None
    return _request("POST", url, access, dialect.head(), dialect.body(question))


def _stream(access: Access, question: Question, network: Transport, is_terminal: bool) -> bytes | None:
    """Write the answer to standard output; return what came instead when the credential was refused (R-09)."""
    with network.stream(_question(access, question)) as response:
        if access.is_refused(response.status):
            return _body(response)
        if response.status != 200:
            raise failure(response.status, response.headers, _body(response), access)
        parser = dialects.stream_parser(response.headers.get("content-type", ""))
        if parser is None:
            raise ServerFailure(f"{access.api_base} did not stream its answer.", hint="Check the base URL.")
        _write(response, parser, access, is_terminal)
    return None


def _write(
    response: StreamedResponse, parser: sse.Parser | event_stream.MessagesParser, access: Access, is_terminal: bool
) -> None:
    """Write the text as it comes; a terminal gets no control characters, for an answer must not drive it."""
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
                        raise _translate(error, access, None)
                    case Finished():
                        return _note(stop_reason)
        raise ServerFailure(f"{access.api_base} broke off its answer.", hint="What stands above is incomplete.")
    except (Malformed, sse.EventTooLarge) as error:
        raise ServerFailure(f"{access.api_base} streamed something else: {error}.") from error
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


def failure(status: int, headers: Mapping[str, str], body: bytes, access: Access) -> KeysteadError:
    """Return what an answer other than 200 means, by the table of error types."""
    error = dialects.parse_error(status, headers, body) if access.route else messages.parse_error(body)
    if error is None:
        return ServerFailure(
            f"{access.api_base} answered with HTTP {status} and not in the format of the Messages API.",
            hint="Check the base URL.",
        )
    return _translate(error, access, headers.get("retry-after"))


def _translate(error: ApiError, access: Access, retry_after: str | None) -> KeysteadError:
    kind, hint = _ERRORS.get(error.type, (KeysteadError, "Run keystead status to see what was asked."))
    if kind is ConfigurationError and _OUTSIDE in error.message:
        hint = "Choose another model with --model, or ask the administrator of the organization for this one."
    if kind is RateLimited and retry_after and retry_after.isascii() and retry_after.isdigit():
        hint = f"Try again in {int(retry_after)} s."
    return kind(f"{access.api_base} says {error.type}: {access.masked(error.message)}", hint=hint)
