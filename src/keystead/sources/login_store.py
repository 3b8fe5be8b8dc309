"""Open the store that was chosen for this state directory."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from keystead.clock import Clock
from keystead.environment import Environment
from keystead.errors import ConfigurationError, KeysteadError, StoreBusy, StoreUnavailable
from keystead.secret import Secret
from keystead.stores import choice
from keystead.stores.choice import Backend, Choice
from keystead.stores.file import FileStore
from keystead.stores.files import Files
from keystead.stores.kept import RecordStore

if TYPE_CHECKING:
    from keystead.drivers.keyring import KeyringProcess

SUMMARY: Final = "credentials.{}.summary.json"
"""Who is signed in, without a secret, for backends that cannot be looked into without asking somebody."""
_LONGEST_DEADLINE: Final = 600.0


def open_store(environment: Environment, clock: Clock) -> RecordStore:
    """Return the store that ``store.json`` of the state directory names, or the default one.

    Nothing is asked and nothing is read from the place itself before a login is. A choice that cannot be followed
    is an error then too, so that the commands that need no login, or repair the choice, go on working.
    """
    directory = environment.state_dir
    try:
        chosen = choice.read(directory, environment.platform)
        # while nothing was chosen nothing is kept anywhere but in a file
        return store_of(chosen if chosen.remembered else Choice(Backend.FILE), environment, clock)
    except KeysteadError as problem:
        from keystead.stores.places import UnusablePlace

        return RecordStore(directory, UnusablePlace(str(directory / "store.json"), problem), clock)


def settle(environment: Environment, clock: Clock) -> RecordStore | None:
    """Choose a store where nobody has, before the first sign-in; return it, or None when there is nothing to choose.

    Where the keyring is the default it is asked once; one that does not answer is passed over for good, in favour of
    the file, so that what was chosen does not depend on the day.
    """
    chosen = choice.read(environment.state_dir, environment.platform)
    if chosen.remembered or chosen.backend is Backend.FILE:
        return None
    files = Files()
    try:
        keyring_of(environment)([("get", "stores")])
    except StoreUnavailable:
        chosen = Choice(Backend.FILE)
    return store_of(choice.write(environment.state_dir, chosen, files), environment, clock)


def store_of(
    chosen: Choice,
    environment: Environment,
    clock: Clock,
    *,
    key: Callable[[], Secret] | None = None,
    new: bool = False,
) -> RecordStore:
    """Return the store of one choice.

    Args:
        chosen: with its id.
        environment: gives the directory and what the keyring's process sees.
        clock: for locks and names of damaged files.
        key: of an encrypted file; by default read from where the choice says, or asked for.
        new: whether it is about to become the chosen one, so that writing is allowed before it is.

    Raises:
        StoreUnavailable: what it needs is not installed.
    """
    directory = environment.state_dir

    def unmoved() -> None:
        now = choice.read(directory, environment.platform)
        now = now if now.remembered else Choice(Backend.FILE)
        if not new and _place(now) != _place(chosen):
            raise StoreBusy(f"Sign-ins were moved to another store ({now.backend}) meanwhile.", hint="Try again.")

    if chosen.backend is Backend.FILE:
        return FileStore(directory, clock, unmoved=unmoved)
    summary = directory / SUMMARY.format(chosen.backend)
    if chosen.backend is Backend.KEYRING:
        from keystead.stores.keyring import LARGEST_ITEM, KeyringPlace

        largest = LARGEST_ITEM.get(environment.platform)
        kept = KeyringPlace(chosen.store_id, directory, keyring_of(environment), largest=largest)
        return RecordStore(directory, kept, clock, summary=summary, unmoved=unmoved)
    from keystead.stores.places import FilePlace
    from keystead.stores.sealed import STEM, sealed_file

    sealed = sealed_file(FilePlace(directory, clock, stem=STEM), key or (lambda: _key(chosen, environment, clock)))
    return RecordStore(directory, sealed, clock, summary=summary, unmoved=unmoved)


def _place(chosen: Choice) -> tuple[Backend, str]:
    return chosen.backend, chosen.store_id if chosen.backend is Backend.KEYRING else ""


def keyring_of(environment: Environment) -> "KeyringProcess":
    """Return what asks this person's keyring.

    Raises:
        ConfigurationError: the variable for its deadline holds no number of seconds.
    """
    from keystead.drivers.keyring import DEADLINE, DEADLINE_VARIABLE, KeyringProcess

    text = environment.variables.get(DEADLINE_VARIABLE, "")
    try:
        deadline = float(text) if text else DEADLINE
    except ValueError:
        deadline = 0.0
    if not 0 < deadline <= _LONGEST_DEADLINE:
        raise ConfigurationError(
            f"{DEADLINE_VARIABLE} is not a number of seconds up to {_LONGEST_DEADLINE:g}.", hint="Set it to 30, say."
        )
    return KeyringProcess(environment.variables, deadline)


def _key(chosen: Choice, environment: Environment, clock: Clock) -> Secret:
    if chosen.key is None:
        from keystead.drivers import passphrase

        return passphrase.ask(environment)
    return key_from(chosen.key, environment, clock)


def key_from(reference: str, environment: Environment, clock: Clock) -> Secret:
    """Return the key that ``reference`` names (R-27).

    Raises:
        ConfigurationError: it is no reference, or there is nothing where it points.
    """
    from keystead.sources import references

    if not references.is_reference(reference):
        forms = ", ".join(scheme.form for scheme in references.SCHEMES.values())
        raise ConfigurationError("The key of the store must be named, not given.", hint=f"Use one of: {forms}.")
    place = references.Place(environment.variables, environment.home, environment.state_dir, clock)
    return references.resolve(reference, "The key of the store", place)
