"""What a browser calls itself, in words that its owner recognises. Pure."""

import re
from typing import Final

BROWSERS: Final = (
    (r"\bEdg(?:e|A|iOS)?/", "Edge"),
    (r"\bOPR/", "Opera"),
    (r"\b(?:Firefox|FxiOS)/", "Firefox"),
    (r"\b(?:Chrome|CriOS|Chromium|HeadlessChrome)/", "Chrome"),
    (r"\bVersion/.*\bSafari/", "Safari"),
)
SYSTEMS: Final = (
    (r"\bWindows\b", "Windows"),
    (r"\bAndroid\b", "Android"),
    (r"\b(?:iPhone|iPod)\b", "iPhone"),
    (r"\biPad\b", "iPad"),
    (r"\bMac OS X\b", "macOS"),
    (r"\bCrOS\b", "ChromeOS"),
    (r"\bLinux\b", "Linux"),
)
"""The first that matches counts: many claim to be others as well."""


def described(user_agent: str) -> str:
    """Return such as ``Firefox on Linux``; what is not recognised is not repeated."""
    browser = _first(BROWSERS, user_agent) or "Another browser"
    system = _first(SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for pattern, name in table if re.search(pattern, text)), None)
