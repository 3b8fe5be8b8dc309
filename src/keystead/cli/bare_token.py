"""``keystead token`` without options: the same as :mod:`keystead.cli.token`, before click is loaded."""

import sys

from keystead.cli.surroundings import Surroundings


def bare_token(surroundings: Surroundings) -> int:
    """Print the credential in use on one line; return the exit code, whatever went wrong having been said."""
    try:
        from keystead.cli.purse import open_purse

        sys.stdout.write(open_purse(surroundings.for_profile(None)).secret.reveal() + "\n")
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  no traceback reaches a person
        from keystead.cli.exits import failed

        return failed(error, surroundings, wants_json=False)
    return 0
