"""The variables that Windows keeps for a user and for the machine: names only, never a value (R-28)."""

from typing import Final

PLACES: Final = (
    ("HKEY_CURRENT_USER", "Environment"),
    ("HKEY_LOCAL_MACHINE", r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment"),
)
"""Root and key of the registry, in the order in which they count."""


def names(root: str, key: str) -> frozenset[str]:
    """Return the names of the variables under one key; none where it cannot be opened, or there is no registry."""
    try:
        import winreg
    except ImportError:
        return frozenset()
    opening = getattr(winreg, "OpenKey")  # noqa: B009  typed for Windows alone
    asking, counting = getattr(winreg, "EnumValue"), getattr(winreg, "QueryInfoKey")  # noqa: B009
    try:
        with opening(getattr(winreg, root), key) as opened:
            return frozenset(str(asking(opened, index)[0]) for index in range(counting(opened)[1]))
    except OSError:
        return frozenset()
