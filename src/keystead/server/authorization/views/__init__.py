"""The authorization server over HTTP: ``endpoints`` answer programs in JSON, ``pages`` ask people."""

from django.http import HttpRequest

from keystead.server import client_address

_LABEL_LENGTH = 200


def label(agent: str) -> str:
    """Return what the device calls itself: its ``User-Agent``, printable, at most 200 characters."""
    printable = agent if agent.isprintable() else "".join(filter(str.isprintable, agent))
    return printable[:_LABEL_LENGTH]


def address_of(request: HttpRequest) -> str:
    """Return where a request came from, for counting attempts: of an IPv6 address, its network."""
    return client_address.counted_as(str(request.META.get("REMOTE_ADDR", "")))
