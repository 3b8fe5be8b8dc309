"""How many connections the process may hold: each open stream takes two descriptors, and systems begin with 1,024."""

try:
    import resource
except ImportError:  # Windows knows no such limit
    resource = None  # type: ignore[assignment]


def allow_all() -> None:
    """Raise the soft limit on open files to the hard one, which is what the operator allows."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
