"""Ask the person at the terminal for a passphrase, without showing it."""

from keystead.environment import Environment
from keystead.errors import Cancelled, StoreUnavailable
from keystead.secret import Secret


def ask(environment: Environment, question: str = "Passphrase of the sign-in store: ") -> Secret:
    """Return what the person types.

    Raises:
        StoreUnavailable: there is nobody to ask.
        Cancelled: nothing was typed.
    """
    if not environment.stdin_tty:
        raise StoreUnavailable(
            "The passphrase of the encrypted sign-ins is needed, and there is no terminal to ask for it.",
            hint="Keep its key where programs can read it: keystead store use sealed --key file:/PATH.",
        )
    import getpass

    try:
        typed = getpass.getpass(question)
    except EOFError:
        typed = ""
    if not typed:
        raise Cancelled("No passphrase was given. Nothing was changed.")
    return Secret(typed)
