"""A machine that has nothing: an empty home, an empty project, no managed settings, no variables."""

from collections.abc import Mapping
from pathlib import Path

from keystead.environment import Environment


def bare_environment(root: Path, variables: Mapping[str, str] | None = None) -> Environment:
    """Return the environment of such a machine below ``root``, its directories made.

    Args:
        root: an empty directory, such as ``tmp_path``.
        variables: the only environment variables.
    """
    home, project, managed = root / "home", root / "project", root / "managed"
    for directory in (home, project, managed):
        directory.mkdir(parents=True, exist_ok=True)
    return Environment(variables=dict(variables or {}), home=home, cwd=project, managed_dir=managed)
