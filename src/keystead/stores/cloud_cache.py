"""The last answer of a cloud's own chain, shared by all processes: who, until when, asked when; no credential.

One file per cloud and surroundings: another profile, another key or a changed credentials file is another question.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials.cloud import CloudIdentity, parse
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked
from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed

SCHEMA: Final = "keystead.cloud/1"
LIFETIME: Final = 300.0
"""Seconds for which an answer counts."""
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

    def load(self) -> CloudIdentity | None:
        """Return the kept answer while it counts; a file that is not one counts as none.

        Raises:
            UnreadableFile: others may read it.
        """
        data = read_private(self._path)
        if data is None:
            return None
        try:
            document = Fields.parse(data, "kept answer")
            if document.text("schema") != SCHEMA:
                return None
            identity, asked_at = parse(document.object("identity")), document.number("asked_at")
        except Malformed:
            return None
        now = self._clock.now()
        ended = identity.expires_at is not None and now >= identity.expires_at - MARGIN
        return identity if 0 <= now - asked_at < LIFETIME and not ended else None

    def save(self, identity: CloudIdentity) -> None:
        """Keep an answer given now, durably.

        Raises:
            StoreUnavailable: it could not be written.
        """
        document = {"schema": SCHEMA, "asked_at": self._clock.now(), "identity": identity.to_json()}
        self._files.sweep(self._path)
        self._files.put(self._path, fields.dump(document) + b"\n")

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to ask the cloud, across all processes."""
        return locked(self._lock, timeout, self._clock)
