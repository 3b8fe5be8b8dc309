"""Whether a form was sent from our own page.

The gateway protocol asks for it on ``POST /device``, beyond the token against forged forms: a page elsewhere
must not be able to approve a device (RFC 8628 section 5.4). What the browser says about itself counts, in the
order of how hard it is to forge; a request that says nothing is refused.
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit


def holds(headers: Mapping[str, str], origins: Collection[str]) -> bool:
    """Return whether the headers (any case, as Django's mapping reads them) name one of our ``origins``."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("Origin")
    if origin is not None:
        return origin in origins
    referer = headers.get("Referer")
    if referer is not None:
        return _origin(referer) in origins
    return site is not None


def _origin(address: str) -> str | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}"
