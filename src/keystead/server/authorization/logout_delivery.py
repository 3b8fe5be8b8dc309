"""Sending logout tokens to the clients that are owed them (OpenID Connect Back-Channel Logout 1.0 section 2.5).

A try is claimed by compare-and-swap on the number of tries, which moves the next one into the future in the same
statement: two servers never send the same try, and one that dies in the middle of it is followed by the next try. A
client that was told twice all the same, because its answer was lost, has nothing left to end the second time.
"""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Window
from django.db.models.functions import RowNumber

from keystead.server import outbound
from keystead.server.audit import operations as audit
from keystead.server.authorization import logout_notices, logout_tokens
from keystead.server.authorization.models import LogoutNotice
from keystead.server.authorization.surroundings import server
from keystead.server.identifiers import new_id
from keystead.server.outbound import NotFetched, Reach
from keystead.server.transactions import whole

PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (30, 120, 300, 900, 1800))
"""Before each further try; together less than an hour. The shortest is longer than a try can take."""
TRIES: Final = len(PAUSES) + 1
AT_ONCE: Final = 16
"""Tries a round, all at the same time: a round is as long as the slowest client, at most three deadlines."""
PER_ORGANIZATION: Final = 4
"""Of those, so that the clients of one that hang do not hold up everybody else's."""
TAKEN: Final = frozenset({200, 204})
REFUSED: Final = 400

Post = Callable[[str, Mapping[str, str], Reach], int]
_LOG: Final = logging.getLogger("keystead.server")


def tell(now: datetime, post: Post = outbound.post) -> bool:
    """Do one round: find the sign-ins that have ended, and send what is due; returns whether more may be due.

    Args:
        now: when.
        post: sends a form and returns the status of the answer.
    """
    found = logout_notices.announce_ended(now)
    claimed = [notice for notice in _due(now) if _claim(notice, now)]
    if claimed:
        _send_all(claimed, now, post)
    return bool(claimed) or found == logout_notices.BATCH


def _due(now: datetime) -> list[LogoutNotice]:
    """Return whose turn it is: those tried least often first, so that the ones that hang come last."""
    turn = Window(RowNumber(), partition_by=F("organization"), order_by=("tries", "due_at", "id"))
    due = LogoutNotice.objects.filter(due_at__lte=now).annotate(turn=turn).filter(turn__lte=PER_ORGANIZATION)
    return list(due.select_related("organization").order_by("tries", "due_at", "id")[:AT_ONCE])


def _claim(notice: LogoutNotice, now: datetime) -> bool:
    """Take the next try for this process; the last one may have been begun by a server that ended, then it is over."""
    if notice.tries >= TRIES:
        _close(notice, "The server ended during the last try.", now)
        return False
    pause = PAUSES[min(notice.tries, len(PAUSES) - 1)]
    mine = LogoutNotice.objects.filter(pk=notice.pk, tries=notice.tries)
    if not whole(lambda: mine.update(tries=notice.tries + 1, due_at=now + pause)):
        return False
    notice.tries += 1
    return True


def _send_all(claimed: list[LogoutNotice], now: datetime, post: Post) -> None:
    """Send in threads that know no database; what came of it is written down here."""
    within = outbound.reach(server())

    def send(address: str, token: str) -> str:
        try:
            status = post(address, {"logout_token": token}, within)
        except NotFetched as error:
            return str(error)
        return _fault(status)

    with ThreadPoolExecutor(len(claimed), thread_name_prefix="logout") as pool:
        under_way = {
            pool.submit(send, notice.address, logout_tokens.sign(notice, new_id(), now)): notice for notice in claimed
        }
        for done in as_completed(under_way):
            _settle(under_way[done], done.result(), now)


def _fault(status: int) -> str:
    """Return what an answer lacks (section 2.8), or nothing.

    Status 400 says that the token was invalid or that logging out failed; the second may pass, so that it is tried
    again like every other fault.
    """
    if status in TAKEN:
        return ""
    return "It refused the logout token." if status == REFUSED else f"It answered with status {status}."


def _settle(notice: LogoutNotice, fault: str, now: datetime) -> None:
    if fault:
        _LOG.warning(
            "%s was not told that %s ended, try %d of %d: %s", notice.audience, notice.sid, notice.tries, TRIES, fault
        )
    if not fault or notice.tries >= TRIES:
        whole(lambda: _close(notice, fault, now))


def _close(notice: LogoutNotice, fault: str, now: datetime) -> None:
    """Remove a notice, and keep what became of it."""
    with transaction.atomic():
        if not LogoutNotice.objects.filter(pk=notice.pk).delete()[0]:
            return
        audit.record(
            organization=notice.organization,
            actor=audit.SYSTEM,
            action="logout:give_up" if fault else "logout:deliver",
            target=notice.sid,
            at=now,
            details={"client": notice.audience, "tries": notice.tries, **({"reason": fault} if fault else {})},
        )
