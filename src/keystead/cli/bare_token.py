"""``keystead token`` without options: the same as :mod:`keystead.cli.token`, with as little loaded as it takes."""

import sys

from keystead.cli import recall


def bare_token() -> int:
    """Print the credential in use on one line; return the exit code, whatever went wrong having been said."""
    try:
        sys.stdout.write(f"{_credential()}\n")
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  no traceback reaches a person
        from keystead.cli.exits import failed
        from keystead.cli.surroundings import Surroundings

        return failed(error, Surroundings.real(), wants_json=False)
    return 0


def _credential() -> str:
    question = recall.here()
    known = recall.answer(question) if question is not None else None
    if known is not None:
        return known
    from keystead.cli.remember import resolved
    from keystead.cli.surroundings import Surroundings

    return resolved(Surroundings.real().for_profile(None), question)
