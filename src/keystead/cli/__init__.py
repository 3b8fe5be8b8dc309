"""The command line: which of its parts a call needs, so that nothing else is loaded.

``keystead token`` alone is :mod:`keystead.cli.bare_token`, without click. Everything else goes through the group in
:mod:`keystead.cli.group`, which reads the table in :mod:`keystead.cli.commands`.
"""

import gc
import sys

from keystead import core_dumps

BARE = ["token"]
"""What agents call before each request."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; the entry point of the ``keystead`` program."""
    gc.disable()  # until the command begins: what is imported stays, so collecting meanwhile frees nothing
    core_dumps.withhold()
    given = sys.argv[1:] if arguments is None else arguments
    if given == BARE:
        from keystead.cli.bare_token import bare_token

        sys.exit(bare_token())
    from keystead.cli.exits import exit_code
    from keystead.cli.group import cli
    from keystead.cli.surroundings import Surroundings

    sys.exit(exit_code(cli, given, Surroundings.real()))
