"""Formats that leave the process: ``parse(bytes) -> value`` and ``dump(value) -> bytes``; pure."""
