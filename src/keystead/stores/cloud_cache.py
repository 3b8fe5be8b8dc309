"""The last answer of a cloud's own chain, shared by all processes: who, until when, asked when; no credential.

A bearer token that was fetched to be sent is kept in a file of its own (:data:`TOKEN`), until it ends. Refusals count
only for those who were waiting for the answer, so that a fix works at once.

One file per cloud and surroundings: another profile, another key or a changed credentials file is another question.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from keystead.clock import Clock
from keystead.credentials.cloud import CloudIdentity, CloudToken, parse, parse_token
from keystead.errors import CloudNotReady
from keystead.stores import kept_answer
from keystead.stores.files import Files
from keystead.stores.kept_answer import KeptAnswer
from keystead.wire.fields import Fields, Malformed

SCHEMA: Final = "keystead.cloud/1"
MARGIN: Final = 60.0
"""Seconds before a credential's end at which its answer no longer counts."""

Answer = TypeVar("Answer", CloudIdentity, CloudToken)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Answer]):
    """What is asked: its name in the file and in the file's own name, and how it is read."""

    name: str
    mark: str
    read: Callable[[Fields], Answer]
    identity: Callable[[Answer], CloudIdentity]


IDENTITY: Final = Kind("identity", "", parse, lambda answer: answer)
TOKEN: Final = Kind("token", "token-", parse_token, lambda answer: answer.identity)


class CloudCache(Generic[Answer]):
    """Keeps the answer about one cloud.

    Args:
        directory: the state directory.
        cloud: its id.
        surroundings: all that the answer depends on; kept as a hash only.
        kind: what is asked.
    """

    def __init__(
        self,
        directory: Path,
        cloud: str,
        surroundings: Mapping[str, str],
        clock: Clock,
        kind: Kind[Answer],
        files: Files | None = None,
    ) -> None:
        name = f"cloud-{cloud}-{kind.mark}{kept_answer.of(surroundings)}"
        self._answer = KeptAnswer(directory, name, SCHEMA, clock, files, lock=f"cloud-{cloud}")
        self._clock = clock
        self._kind: Kind[Answer] = kind

    def load(self, since: float) -> Answer | None:
        """Return the answer given after ``since`` (Unix seconds) and still good; a damaged file counts as none.

        Raises:
            UnreadableFile: others may read it.
        """
        document = self._read(since)
        try:
            answer = self._kind.read(document.object(self._kind.name)) if document is not None else None
        except Malformed:
            return None
        end = None if answer is None else self._kind.identity(answer).expires_at
        return answer if end is None or self._clock.now() < end - MARGIN else None

    def refusal(self, since: float) -> CloudNotReady | None:
        """Return the refusal given after ``since``: for those who waited while another process was asking.

        Raises:
            UnreadableFile: others may read it.
        """
        document = self._read(since)
        try:
            error = document.object("error") if document is not None else None
            return None if error is None else CloudNotReady(error.text("message"), hint=error.optional_text("hint"))
        except Malformed:
            return None

    def save(self, answer: Answer | CloudNotReady) -> None:
        """Keep an answer given now, durably.

        Raises:
            StoreUnavailable: it could not be written.
        """
        kind = "error" if isinstance(answer, CloudNotReady) else self._kind.name
        self._answer.write({"asked_at": self._clock.now(), kind: answer.to_json()})

    def _read(self, since: float) -> Fields | None:
        document = self._answer.read()
        try:
            return document if document and since < document.number("asked_at") <= self._clock.now() else None
        except Malformed:
            return None

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to ask the cloud, across all processes."""
        return self._answer.lock(timeout)
