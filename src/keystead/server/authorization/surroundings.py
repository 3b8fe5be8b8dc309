"""What the installation around the authorization server gives it: its settings, its secret and the time."""

from datetime import UTC, datetime
from typing import cast

from django.conf import settings

from keystead.clock import Clock
from keystead.server.settings import ServerSettings


def server() -> ServerSettings:
    """Return the settings this process runs with."""
    return cast("ServerSettings", getattr(settings, "KEYSTEAD"))  # noqa: B009 - unknown to the type checker's plugin


def issuer() -> str:
    """Return this server's name: an origin without a trailing slash."""
    return server().base_url


def now() -> datetime:
    """Return the time by ``KEYSTEAD_CLOCK`` in Django's settings: the machine's clock, but where tests set another."""
    clock: Clock = getattr(settings, "KEYSTEAD_CLOCK")  # noqa: B009 - unknown to the type checker's plugin
    return datetime.fromtimestamp(clock.now(), UTC)
