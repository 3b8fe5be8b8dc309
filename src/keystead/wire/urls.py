"""What a server's address must look like before anything secret may go there."""

from urllib.parse import urlsplit

from keystead.wire import origin


def base(url: str) -> str:
    """Return a server's base address without a trailing slash.

    Raises:
        ValueError: it is not an origin with an optional path, or it is ``http://`` on another machine, where
            anyone on the way could read the tokens.
    """
    address = origin.parse(url)
    parts = urlsplit(url)
    if "?" in url or "#" in url:
        raise ValueError("it contains a query or a fragment")
    if parts.scheme == "http" and not origin.is_private_to_machine(address):
        raise ValueError("it starts with http://, which is allowed on this machine only")
    return (address + parts.path).rstrip("/")
