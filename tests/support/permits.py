"""What callers may do, as a gateway in a test is told."""

from collections.abc import Callable
from typing import Any, Final

from keystead.credentials.rules import Program
from keystead.server.policy import Principal
from keystead.server.policy.decide import Credential, Facts, Permit, Proof
from keystead.server.policy.model_access import ModelAccess

KEY: Final = {"credential": Credential.API_KEY, "program": Program.OTHER, "proof": Proof.NONE, "access": None}
"""A key to which nothing objects."""


def facts(**other: Any) -> Facts:
    """Return the facts of a key to which nothing objects, but for ``other``."""
    return Facts(**{**KEY, **other})


def allowing(*entries: str) -> Callable[[Principal], Permit]:
    """Return permits for every caller to use the models of a list."""
    permit = Permit(facts(access=ModelAccess(entries)))
    return lambda _: permit
