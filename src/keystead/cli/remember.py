"""Keep what the resolver answered for the next time the same is asked (:mod:`keystead.cli.recall`)."""

import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from keystead.cli.purse import checked
from keystead.cli.recall import Question, here
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Freshness, OAuthTokens
from keystead.errors import KeysteadError
from keystead.release import Authorized
from keystead.resolver import Resolution
from keystead.secret import Secret
from keystead.sources.candidate import CandidateState
from keystead.stores.file import FileStore
from keystead.stores.files import Files, make_private_directory

LASTING: Final = frozenset({"gateway_session", "auth_token", "api_key", "login"})
"""The sources whose credential stands in what is read; others run a command, ask a cloud or exchange a token."""
SILENT: Final = LASTING | {"oauth_token", "vendor_login"}
"""The sources that read nothing beside the question, whatever they answer."""
FOREVER: Final = float(1 << 53)
MOST: Final = 64
"""Answers that are kept; the oldest makes room."""


def resolved(surroundings: Surroundings, question: Question | None, again: Callable[[], Question | None] = here) -> str:
    """Return the credential in use as the resolver decides, and keep where it stands for the next time.

    Args:
        surroundings: those that ``question`` was asked in.
        question: as it was before anything was decided; None when it cannot be told what all was read.
        again: returns it as it is now.

    Raises:
        KeysteadError: as :func:`checked` and :meth:`Client.credential`.
    """
    client = surroundings.client()
    resolution = checked(surroundings, client)
    authorized = client.credential(resolution)
    if question is not None and _lasting(surroundings, resolution, authorized) and _same(question, again()):
        _keep(question, authorized.secret, surroundings.clock.now(), _end(resolution, authorized))
    return authorized.secret.reveal()


def _lasting(surroundings: Surroundings, resolution: Resolution, authorized: Authorized) -> bool:
    """Whether the same question will have the same answer: all that was read is part of it."""
    candidate = authorized.candidate
    in_files = isinstance(surroundings.store, FileStore)
    quiet = all(one.state is CandidateState.ABSENT or one.source in SILENT for one in resolution.considered)
    due = candidate.freshness not in (None, Freshness.FRESH)  # each process tries to renew it, as long as that fails
    return candidate.source in LASTING and in_files and quiet and not due


def _same(before: Question, after: Question | None) -> bool:
    """Whether nothing changed in between: no renewal, no notice given, no file edited."""
    return after is not None and after.path == before.path


def _keep(question: Question, secret: Secret, now: float, until: float) -> None:
    """Keep where ``secret`` stands in ``question``; where that cannot be done the resolver is asked again."""
    value = secret.reveal().encode()
    found = next((index for index, text in enumerate(question.texts) if value in text), None)
    if found is None:  # written with escapes, or without its line break
        return
    start = question.texts[found].index(value)
    line = f"{found} {start} {start + len(value)} {math.floor(now)} {math.floor(until)}\n"
    with suppress(OSError, KeysteadError):
        _put(Path(question.path), line.encode())


def _end(resolution: Resolution, authorized: Authorized) -> float:
    """Return the time from which on any row could answer otherwise."""
    ends = [one.expires_at for one in resolution.considered if one.expires_at is not None]
    if isinstance(tokens := authorized.candidate.credential, OAuthTokens):
        ends.append(tokens.stale_at)
    return min(ends, default=FOREVER)


def _put(path: Path, line: bytes) -> None:
    """Write without waiting for the disk: a line that a crash cut short is no answer."""
    files = Files()
    for directory in (path.parent.parent, path.parent):
        make_private_directory(directory)
    temporary = path.with_name(f".{path.name}.{files.random_bytes(6).hex()}.tmp")
    descriptor = files.create(temporary)
    try:
        files.write(descriptor, line)
    finally:
        os.close(descriptor)
    files.replace(temporary, path)
    kept = sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime)
    for old in kept[:-MOST]:
        old.unlink(missing_ok=True)
