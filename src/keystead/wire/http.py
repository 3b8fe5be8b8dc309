"""One HTTP request and one response, as values.

Flows yield requests and receive responses; :mod:`keystead.drivers.transport` carries them. Header names are
lower-case. A header or body that carries a secret is revealed only inside the transport: ``headers`` accepts
:class:`~keystead.secret.Secret` values and ``form`` too, so that a logged or printed request shows nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keystead.secret import Secret


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send.

    Attributes:
        form: fields to send as ``application/x-www-form-urlencoded``; excludes ``body``.
        body: bytes to send as they are.
    """

    method: str
    url: str
    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    form: Mapping[str, str | Secret] | None = None
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response; ``headers`` by lower-case name, the last value of a repeated one."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str = ""
