"""Why a sign-in through an identity provider was not taken."""

from typing import Final


class SignInFault(Exception):
    """An answer that was not what this server asked for, or somebody who may not come in.

    Args:
        reason: one word for the audit record.
        message: one sentence for the person, which never repeats what came from outside.
        hint: one sentence, the fix.
    """

    def __init__(self, reason: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


_ASK: Final = "Start again from the sign-in page. If it repeats, tell your administrator what stands here."


def untrusted(reason: str, message: str) -> SignInFault:
    """The answer does not prove what it says; the fault is the identity provider's, or somebody forged it."""
    return SignInFault(reason, message, hint=_ASK)
