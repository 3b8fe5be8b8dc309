"""How long everything lasts, in one place; the two that an operator sets are in the server's settings."""

from datetime import timedelta
from typing import Final

AUTHORIZATION_CODE: Final = timedelta(seconds=60)
PUSHED_REQUEST: Final = timedelta(minutes=10)
"""As long as a person may take to sign in first."""
DEVICE_CODE: Final = timedelta(seconds=600)
POLL_INTERVAL: Final = 5
"""Seconds between polls; also what every ``slow_down`` adds (RFC 8628 section 3.5)."""
POLL_GRACE: Final = timedelta(seconds=1)
"""A poll this much early is still on time: the interval is measured at the client, the network jitters."""
SIGN_IN: Final = timedelta(days=180)
"""A sign-in ends here even if it is refreshed every day."""
REPLAY_WINDOW: Final = timedelta(seconds=10)
"""A used refresh token gets the same successor again this long: a race or a lost answer logs nobody out (R-01)."""
LEEWAY: Final = 30
"""Seconds by which the clocks of two of our servers may differ when an access token is verified."""
LOGOUT_TOKEN: Final = timedelta(seconds=120)
"""A logout token is for the moment it is sent: each further try signs a new one."""
USED_CODES_KEPT: Final = timedelta(days=1)
"""Codes are removed this long after their end; until then a replay is recognised as one."""
SERVICE_SIGN_INS_KEPT: Final = timedelta(days=7)
"""Sign-ins of service accounts are removed this long after their end: a pipeline makes one for every run."""
SERVICE_SIGN_IN: Final = timedelta(hours=1)
"""A token that a client gets in its own name lives so long at most."""
SIGNING_KEY_OVERLAP: Final = timedelta(days=2)
"""A replaced signing key verifies this long: longer than any access token lives."""
SIGNING_KEY_AHEAD: Final = timedelta(minutes=10)
"""A new signing key is published this long before it signs: longer than anybody may keep the published keys."""
ENDED_KEPT: Final = timedelta(days=30)
"""Ended sign-ins are kept this long, for the people who look at what happened; their refresh tokens end with them."""
