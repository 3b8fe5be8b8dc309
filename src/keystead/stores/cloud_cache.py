"""The last answer of a cloud's own chain, shared by all processes: who, until when, asked when; no credential.

Its refusals count only for those who were waiting for the answer, so that a fix works at once.

One file per cloud and surroundings: another profile, another key or a changed credentials file is another question.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials.cloud import CloudIdentity, parse
from keystead.errors import CloudNotReady
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked
from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed

SCHEMA: Final = "keystead.cloud/1"
MARGIN: Final = 60.0
"""Seconds before a credential's end at which its answer no longer counts."""


class CloudCache:
    """Keeps the answer about one cloud.

    Args:
        directory: the state directory.
        cloud: its id.
        surroundings: all that the answer depends on; kept as a hash only.
    """

    def __init__(
        self, directory: Path, cloud: str, surroundings: Mapping[str, str], clock: Clock, files: Files | None = None
    ) -> None:
        name = hashlib.sha256(fields.dump(dict(sorted(surroundings.items())))).hexdigest()[:16]
        self._path = directory / f"cloud-{cloud}-{name}.json"
        self._lock = directory / f"cloud-{cloud}.lock"
        self._clock = clock
        self._files = files or Files()

    def load(self, since: float) -> CloudIdentity | None:
        """Return the answer given after ``since`` (Unix seconds) and still good; a damaged file counts as none.

        Raises:
            UnreadableFile: others may read it.
        """
        document = self._read(since)
        try:
            identity = parse(document.object("identity")) if document is not None else None
        except Malformed:
            return None
        if identity is None or identity.expires_at is None or self._clock.now() < identity.expires_at - MARGIN:
            return identity
        return None

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

    def save(self, answer: CloudIdentity | CloudNotReady) -> None:
        """Keep an answer given now, durably.

        Raises:
            StoreUnavailable: it could not be written.
        """
        kind = "identity" if isinstance(answer, CloudIdentity) else "error"
        document = {"schema": SCHEMA, "asked_at": self._clock.now(), kind: answer.to_json()}
        self._files.sweep(self._path)
        self._files.put(self._path, fields.dump(document) + b"\n")

    def _read(self, since: float) -> Fields | None:
        data = read_private(self._path)
        if data is None:
            return None
        try:
            document = Fields.parse(data, "kept answer")
            known = document.text("schema") == SCHEMA
            return document if known and since < document.number("asked_at") <= self._clock.now() else None
        except Malformed:
            return None

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to ask the cloud, across all processes."""
        return locked(self._lock, timeout, self._clock)
