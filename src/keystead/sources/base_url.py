"""Where credentials of the environment are sent: ``ANTHROPIC_BASE_URL``, or the vendor's own address."""

from dataclasses import dataclass
from typing import Final

from keystead.credentials import ANTHROPIC_API
from keystead.errors import ConfigurationError
from keystead.sources.configuration import Configuration
from keystead.wire import origin as wire_origin

VARIABLE: Final = "ANTHROPIC_BASE_URL"


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A base URL without a final slash, and its origin.

    Attributes:
        place: where it was set; None for the default.
        warnings: what is odd about it.
    """

    url: str
    origin: str
    place: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def custom(self) -> bool:
        """Whether it is another origin than the vendor's."""
        return self.origin != ANTHROPIC_API


def read(configuration: Configuration) -> BaseUrl:
    """Return the base URL that counts.

    Raises:
        ConfigurationError: it is not a URL that a secret can be sent to.
    """
    reading = configuration.variable(VARIABLE)
    if reading.value is None:
        return BaseUrl(ANTHROPIC_API, ANTHROPIC_API, warnings=reading.warnings)
    return parse(reading.value.text, reading.value.name, str(reading.value.provenance), reading.warnings)


def parse(text: str, name: str, place: str, warnings: tuple[str, ...] = ()) -> BaseUrl:
    """Return the base URL ``text``, which was found at ``place`` and is called ``name`` in messages.

    Raises:
        ConfigurationError: it is not a URL that a secret can be sent to.
    """
    text = text.rstrip("\r\n")
    try:
        origin = wire_origin.parse(text)
        if "?" in text or "#" in text:
            raise ValueError("it contains a query or a fragment")
    except ValueError as error:
        raise ConfigurationError(
            f"{name} is not a base URL: {error}.", hint=f"Set {VARIABLE} to something like https://keys.example.com."
        ) from None
    url, odd = _trimmed(text.rstrip("/"), name)
    if origin.startswith("http://") and not wire_origin.is_private_to_machine(origin):
        odd = (*odd, f"{name} is http, so the credential crosses the network unencrypted")
    return BaseUrl(url, origin, place, (*warnings, *odd))


def _trimmed(url: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Take a final ``/v1`` off: clients add it themselves, and real ones would then ask for ``/v1/v1``."""
    if not url.endswith("/v1"):
        return url, ()
    return url[:-3].rstrip("/"), (f"{name} ends in /v1, which clients add themselves; remove it",)
