"""No core file of a process that holds secrets: it would be a copy of them that nobody knows of (R-17).

Only the soft limit is lowered, so that a program which takes this one's place gets back what the person had set.
"""

try:
    import resource
except ImportError:  # Windows has neither the limit nor core files
    resource = None  # type: ignore[assignment]

_BEFORE: list[tuple[int, int]] = []


def withhold() -> None:
    """Let a crash of this process write no core file."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if soft != 0:
        _BEFORE.append((soft, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def give_back() -> None:
    """Set the limit to what it was when this process began."""
    if resource is not None and _BEFORE:
        resource.setrlimit(resource.RLIMIT_CORE, _BEFORE.pop())
