"""What a helper command printed, checked."""

from dataclasses import dataclass

from keystead.secret import Secret


@dataclass(frozen=True, slots=True)
class Printed:
    """A key, and its end in Unix seconds when the command said so."""

    secret: Secret
    expires_at: float | None = None
