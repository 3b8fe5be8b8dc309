"""What the installation around the authorization server gives it: its settings, its secret and the time."""

from datetime import UTC, datetime
from typing import cast

from django.conf import settings

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.server.settings import ServerSettings


def server() -> ServerSettings:
    """Return the settings this process runs with."""
    return cast("ServerSettings", getattr(settings, "KEYSTEAD"))  # noqa: B009 - unknown to the type checker's plugin


def issuer() -> str:
    """Return this server's name: an origin without a trailing slash."""
    return server().base_url


def now() -> datetime:
    """Return the time; ``KEYSTEAD_CLOCK`` in Django's settings replaces the machine's clock (tests set it)."""
    clock: Clock = getattr(settings, "KEYSTEAD_CLOCK", SYSTEM_CLOCK)
    return datetime.fromtimestamp(clock.now(), UTC)
