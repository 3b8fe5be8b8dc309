"""What a helper command prints: a key, or a JSON object with a token and its end (R-11).

Two shapes of object are read. Ours is ``{"token": "…", "expires_at": "2026-11-25T21:00:00Z"}``; ``expires_at`` may be
left out, or be Unix seconds. The other is what ``kubectl`` takes from its own commands (``ExecCredential`` of
``client.authentication.k8s.io``), so that a command written for a cluster serves here as it is.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from keystead.wire.fields import Fields, Malformed


@dataclass(frozen=True, slots=True)
class HelperOutput:
    """One output.

    Attributes:
        token: as printed; whether it can be sent is the reader's to check.
        expires_at: Unix seconds, when it says so itself.
    """

    token: str = field(repr=False)
    expires_at: float | None = None


def parse(text: str) -> HelperOutput:
    """Return what ``text``, without white space around, says; whatever is no object is a token.

    Raises:
        Malformed: it is an object, and not of a shape that is read; the message names the field.
    """
    if not text.startswith("{"):
        return HelperOutput(text)
    document = Fields.parse(text.encode(), "printed object")
    if document.optional_text("kind") == "ExecCredential":
        status = document.object("status")
        return HelperOutput(status.text("token"), _moment(status, "expirationTimestamp"))
    return HelperOutput(document.text("token"), _moment(document, "expires_at"))


def _moment(document: Fields, name: str) -> float | None:
    """Return a time given as RFC 3339 text or as Unix seconds; None when it is left out."""
    if not document.has(name):
        return None
    try:
        text = document.text(name)
    except Malformed:
        return document.number(name)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Malformed(f"{name} in the printed object is not a time as in RFC 3339") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
