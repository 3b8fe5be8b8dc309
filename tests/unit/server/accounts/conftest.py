"""Somebody's browser, everybody's mail, and a clock that moves only when told to."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from arrivals import Mailbox, kept

from keystead.testing.clock import FakeClock

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership


@pytest.fixture
def clock(administrator: "Membership") -> Iterator[FakeClock]:
    """Stop the time an hour after the administrator came."""
    from django.test import override_settings

    stopped = FakeClock((administrator.created_at + timedelta(hours=1)).timestamp())
    with override_settings(KEYSTEAD_CLOCK=stopped):
        yield stopped


@pytest.fixture
def mail(administrator: "Membership", tmp_path: Path, clock: FakeClock) -> Iterator[Mailbox]:
    """Keep all mail."""
    with kept(tmp_path / "mail") as box:
        yield box


@pytest.fixture
def signed_in(web: "Client", administrator: "Membership", mail: Mailbox) -> "Client":
    """Return a browser that is signed in as the administrator."""
    web.force_login(administrator.person)
    return web
