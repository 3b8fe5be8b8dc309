"""A server at an address that browsers take passkeys for, a clock, and a browser that is signed in to nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from keystead.testing.clock import FakeClock

if TYPE_CHECKING:
    from django.test import Client

START = datetime(2026, 11, 21, 12, 0, 10, tzinfo=UTC)
ORIGIN = "http://localhost:8420"


@pytest.fixture
def clock(migrated: object) -> Iterator[FakeClock]:
    from django.conf import settings
    from django.core.cache import cache
    from django.test import override_settings

    clock = FakeClock(START.timestamp())
    with override_settings(KEYSTEAD_CLOCK=clock, KEYSTEAD=replace(settings.KEYSTEAD, public_url=ORIGIN)):
        yield clock
    cache.clear()


@pytest.fixture
def web(database: object, clock: FakeClock) -> "Client":
    from django.test import Client

    return Client(SERVER_NAME="localhost", SERVER_PORT="8420", headers={"origin": ORIGIN})
