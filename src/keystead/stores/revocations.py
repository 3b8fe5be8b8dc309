"""Sign-ins that were ended here while their server could not be told: ``revocations.json`` in the state directory.

Each is a ticket that can end its sign-in and do nothing else (R-16): whoever reads the file can only finish what the
person began. One that is delivered, or whose sign-in has ended by itself, is removed.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from keystead.clock import Clock
from keystead.errors import UnreadableFile
from keystead.secret import Secret
from keystead.stores.files import Files, read_private
from keystead.stores.locks import locked

SCHEMA: Final = "keystead.revocations/1"
_WRITE_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class PendingRevocation:
    """A sign-in to be ended on its server.

    Attributes:
        issuer: where it was, and ``endpoint`` its revocation endpoint, pinned at sign-in.
        client_id: the client that it belongs to.
        ticket: what ends it.
        account: whose it was, for people.
        until: Unix seconds at which it ends by itself.
    """

    issuer: str
    endpoint: str
    client_id: str
    ticket: Secret
    account: str | None
    until: float


class Revocations:
    """The queue of one state directory; reading writes nothing."""

    def __init__(self, directory: Path, clock: Clock, files: Files | None = None) -> None:
        self.path: Final = directory / "revocations.json"
        self._lock = directory / "revocations.lock"
        self._clock = clock
        self._files = files or Files()

    def pending(self) -> tuple[PendingRevocation, ...]:
        """Return what is still to be ended, oldest first.

        Raises:
            UnreadableFile: others may read the file, or it is damaged.
        """
        now = self._clock.now()
        return tuple(one for one in self._read() if one.until > now)

    def add(self, new: PendingRevocation) -> None:
        """Queue one, durably.

        Raises:
            UnreadableFile: what is queued already cannot be read, and is not overwritten.
            StoreUnavailable: it cannot be written.
        """
        self._change(lambda kept: [*(one for one in kept if one.ticket != new.ticket), new])

    def remove(self, done: Collection[PendingRevocation]) -> None:
        """Take out what was delivered; raises as :meth:`add`."""
        self._change(lambda kept: [one for one in kept if one not in done])

    def _change(self, change: Callable[[list[PendingRevocation]], list[PendingRevocation]]) -> None:
        with locked(self._lock, _WRITE_TIMEOUT, self._clock):
            self._write(change(list(self.pending())))

    def _read(self) -> list[PendingRevocation]:
        import json  # on demand, for the sake of start-up

        data = read_private(self.path)
        if data is None:
            return []
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                raise ValueError(SCHEMA)
            return [_parse(raw) for raw in document["pending"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            hint = f"Remove {self.path}, and end what it held on the server's page of your sign-ins."
            raise UnreadableFile(f"{self.path} is damaged.", hint=hint) from None

    def _write(self, kept: Iterable[PendingRevocation]) -> None:
        import json

        pending = [{**asdict(one), "ticket": one.ticket.reveal()} for one in kept]
        self._files.sweep(self.path)
        self._files.put(self.path, json.dumps({"schema": SCHEMA, "pending": pending}, indent=1).encode() + b"\n")


def _parse(raw: dict[str, Any]) -> PendingRevocation:
    texts = [raw[name] for name in ("issuer", "endpoint", "client_id", "ticket")]
    account, until = raw["account"], raw["until"]
    if not all(isinstance(one, str) for one in texts) or not isinstance(account, str | None):
        raise TypeError("pending")
    issuer, endpoint, client_id, ticket = texts
    return PendingRevocation(issuer, endpoint, client_id, Secret(ticket), account, float(until))
