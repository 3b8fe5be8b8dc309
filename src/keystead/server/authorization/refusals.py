"""What the protocol says no with: a code for machines, a sentence for people, an HTTP status.

A refusal is an exception and a value. *Raised* inside a transaction it undoes what was written; *returned* from
a grant it keeps it, which is how a replay can end a sign-in and a hasty device can be slowed down.
"""

from collections.abc import Mapping
from typing import Final


class Refusal(Exception):
    """An error response of RFC 6749 section 5.2 (or of an extension with the same shape).

    Args:
        error: the code, from the RFC's own list.
        description: one sentence in plain ASCII without quotes or backslashes, never an echo of the input.
        status: HTTP status of the answer.
        headers: what the answer's head says beside it, such as a challenge.
    """

    def __init__(
        self, error: str, description: str, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status
        self.headers = headers or {}


class MustWait(Exception):
    """A request that was to be answered at once may have to wait for another server; nothing has been written."""


UNAUTHORIZED: Final = 401


def invalid_request(description: str, status: int = 400) -> Refusal:
    """A parameter is missing, repeated, or not what it should be."""
    return Refusal("invalid_request", description, status)


def invalid_client(description: str = "This client is not known here.") -> Refusal:
    """The client is unknown. 400 rather than 401: public clients do not authenticate, so there is no challenge."""
    return Refusal("invalid_client", description)


def unauthenticated(description: str = "The client could not be authenticated.") -> Refusal:
    """The client did not prove who it is (RFC 6749 section 5.2: with a challenge, since it may try again)."""
    challenge = {"WWW-Authenticate": 'Basic realm="keystead", charset="UTF-8"'}
    return Refusal("invalid_client", description, UNAUTHORIZED, challenge)


def invalid_grant(description: str) -> Refusal:
    """The code is wrong, used, expired, or somebody else's."""
    return Refusal("invalid_grant", description)


def refused_refresh(description: str) -> Refusal:
    """``invalid_grant`` with status 401, where RFC 6749 has 400.

    The gateway protocol has it so, and its clients learn from this status that their access has ended.
    """
    return Refusal("invalid_grant", description, UNAUTHORIZED)
