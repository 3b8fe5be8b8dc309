"""The token that an identity was exchanged for, shared by all processes until it ends: 0600, in the state directory.

One file for each question: another rule, account, workspace, address or identity is another question.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials import OAuthTokens
from keystead.secret import Secret
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked
from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed

SCHEMA: Final = "keystead.federation/1"


class FederationCache:
    """Keeps one token.

    Args:
        directory: the state directory.
        asked: all that the token depends on; kept as a hash only.
    """

    def __init__(
        self, directory: Path, asked: Mapping[str, str | None], clock: Clock, files: Files | None = None
    ) -> None:
        name = hashlib.sha256(fields.dump(dict(sorted(asked.items())))).hexdigest()[:16]
        self._path = directory / f"federation-{name}.json"
        self._lock = directory / f"federation-{name}.lock"
        self._clock = clock
        self._files = files or Files()

    def load(self) -> OAuthTokens | None:
        """Return the kept token, whatever its age; a file that is not one counts as none.

        Raises:
            UnreadableFile: others may read it.
        """
        data = read_private(self._path)
        if data is None:
            return None
        try:
            document = Fields.parse(data, "kept token")
            if document.text("schema") != SCHEMA:
                return None
            return OAuthTokens(
                access_token=Secret(document.text("access_token")),
                refresh_token=None,
                issued_at=document.number("issued_at"),
                expires_in=document.number("expires_in"),
            )
        except Malformed:
            return None

    def save(self, tokens: OAuthTokens) -> None:
        """Keep ``tokens``, durably.

        Raises:
            StoreUnavailable: it could not be written.
        """
        document = {
            "schema": SCHEMA,
            "access_token": tokens.access_token.reveal(),
            "issued_at": tokens.issued_at,
            "expires_in": tokens.expires_in,
        }
        self._files.sweep(self._path)
        self._files.put(self._path, fields.dump(document) + b"\n")

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to exchange, across all processes."""
        return locked(self._lock, timeout, self._clock)
