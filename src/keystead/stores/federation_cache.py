"""The token that an identity was exchanged for, shared by all processes until it ends: 0600, in the state directory.

One file for each question: another rule, account, workspace, address or identity is another question.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials import OAuthTokens
from keystead.secret import Secret
from keystead.stores import kept_answer
from keystead.stores.files import Files
from keystead.stores.kept_answer import KeptAnswer
from keystead.wire.fields import Malformed

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
        self._answer = KeptAnswer(directory, f"federation-{kept_answer.of(asked)}", SCHEMA, clock, files)

    def load(self) -> OAuthTokens | None:
        """Return the kept token, whatever its age; a file that is not one counts as none.

        Raises:
            UnreadableFile: others may read it.
        """
        document = self._answer.read()
        if document is None:
            return None
        try:
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
        times = {"issued_at": tokens.issued_at, "expires_in": tokens.expires_in}
        self._answer.write({"access_token": tokens.access_token.reveal(), **times})

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to exchange, across all processes."""
        return self._answer.lock(timeout)
