"""Keystead: sign-in, credentials and a gateway for coding agents.

The public library. Names are imported on first use (PEP 562), so that ``import keystead`` stays cheap
enough for a shell prompt.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from keystead.errors import KeysteadError as KeysteadError
    from keystead.secret import Secret as Secret

_HOMES = {
    "KeysteadError": "keystead.errors",
    "Secret": "keystead.secret",
}

__all__ = ["KeysteadError", "Secret", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
